"""Write the pictures that have a module: python -m tests.pictures --write."""

import sys

from tests.pictures import FOLDER, PLOTS, draw_picture, picture_path

if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.pictures --write")
    FOLDER.mkdir(exist_ok=True)
    for picture in PLOTS:
        picture_path(picture).write_text(draw_picture(picture).render(), encoding="utf-8")
