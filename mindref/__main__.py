"""python -m mindref."""

from mindref.cli import main

if __name__ == "__main__":
    main()
