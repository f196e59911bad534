"""Shelves and titles of the synthetic catalogue.

All titles are invented. A shelf is a latent interest and has four topics. A topic is a pair of
openings: titles of one topic begin with the same words, so a reader sees the topics of a list.
"""

from __future__ import annotations

from typing import NamedTuple

TOPICS = 4  # of each shelf


class Shelf(NamedTuple):
    """A shelf. A title is `pattern` with an opening and an ending."""

    name: str
    openings: str  # 8, separated by commas, two for each topic
    endings: str  # 8, separated by commas
    pattern: str = "{} {}"

    def title(self, topic: int, number: int) -> str:
        """Return title `number` of a topic. From the 17th on, titles end in a volume number."""
        openings = self.openings.split(", ")[2 * topic : 2 * topic + 2]
        endings = self.endings.split(", ")
        volume, index = divmod(number, 2 * len(endings))
        # consecutive titles differ in both words
        ending = endings[index % len(endings)]
        title = self.pattern.format(openings[(index + index // len(endings)) % 2], ending)
        return title if volume == 0 else f"{title}, volume {volume + 1}"


SHELVES = (
    Shelf(
        "thrillers",
        "Silent, Hushed, Midnight, Moonlit, Crooked, Forged, Northbound, Frozen",
        "Witness, Ferry, Alibi, Passenger, Signal, Ledger, Courier, Lighthouse",
        pattern="The {} {}",
    ),
    Shelf(
        "comedies",
        "Two Weddings and a, Honeymoon with a, My Uncle's, My Aunt's,"
        " Never Trust a, Never Marry a, Half a, Almost a",
        "Plumber, Duchess, Parrot, Trombone, Landlord, Goldfish, Vicar, Caravan",
    ),
    Shelf(
        "westerns",
        "Riders of, Horses of, Dust over, Thunder over,"
        " The Sheriff of, The Marshal of, Last Train to, Stagecoach to",
        "Copper Creek, Juniper Flat, Lonesome Ridge, Red Mesa, Willow Ford, Salt Fork,"
        " Eagle Gap, Dry Wells",
    ),
    Shelf(
        "space films",
        "Beacon on, Lanterns on, Exodus from, Escape from,"
        " Gardens of, Orchards of, Machines of, Clockwork of",
        "Kepler Nine, the Ninth Moon, Vesta, the Outer Ring, Tau Ceti, the Glass Planet,"
        " Europa, the Long Orbit",
    ),
    Shelf(
        "detective stories",
        "Murder at, A Body at, The Poisoner of, The Arsenic of,"
        " Inspector Quill at, Inspector Quill and, The Theft at, The Jewels of",
        "Marrow Hall, the Old Mill, Pinchbeck Manor, the Grand Hotel, Fennel Street,"
        " the Bishop's Garden, Larkspur House, the Reading Room",
    ),
    Shelf(
        "sea stories",
        "The Wreck of, The Salvage of, Whaling with, Hunting with,"
        " Becalmed on, Adrift on, The Mutiny on, The Pirates of",
        "the Albatross, the Merry Anne, the Cormorant, the Evening Star, the Halcyon,"
        " the Grey Goose, the Providence, the Sea Holly",
    ),
    Shelf(
        "poetry",
        "Sonnets for, Odes for, Haiku from, Short Lines from,"
        " Ballads of, Songs of, Letters to, Elegies for",
        "an Empty House, the River, a Late Spring, the Night Train, a Blackbird,"
        " the Orchard, Winter Light, an Old Coat",
    ),
    Shelf(
        "fairy tales",
        "The Fox and, The Hare and, The Giant of, The Ogre of,"
        " The Princess and, The Youngest Prince and, The Witch of, The Wizard of",
        "the Silver Pear, the Hollow Hill, the Glass Bridge, the Singing Well,"
        " the Thirteen Swans, the Paper Boat, the Golden Thimble, the Winter Gate",
    ),
    Shelf(
        "jazz",
        "Late Set at, After Hours at, Big Band at, Brass at,"
        " Trio at, Quartet at, Swing at, Stomp at",
        "the Blue Heron, the Velvet Stair, Pier Nine, the Copper Kettle, the Night Owl,"
        " Basin Street, the Green Door, the Regal",
    ),
    Shelf(
        "baroque",
        "Suites for, Partitas for, Concertos for, Sinfonias for,"
        " Cantatas with, Motets with, Fugues for, Toccatas for",
        "Two Violins, Oboe and Strings, the Harpsichord, Lute and Viol, Three Trumpets,"
        " the Little Organ, Flute and Cello, the Spring Feast",
    ),
    Shelf(
        "folk songs",
        "Reels from, Jigs from, Shanties from, Rope Songs from,"
        " Lullabies from, Cradle Songs from, Harvest Songs from, Drinking Songs from",
        "the Western Isles, the Low Country, Hazel Valley, the North Shore, Three Rivers,"
        " the Heather Hills, the Fens, Old Harbour",
    ),
    Shelf(
        "board games",
        "Merchants of, Caravans of, Knights of, Siege of,"
        " Railways of, Tramways of, Farmers of, Vineyards of",
        "Samarra, the Black Forest, Lindholm, the Seven Bridges, Old Prague, Carrow Bay,"
        " the Amber Coast, Montefiore",
    ),
    Shelf(
        "jigsaws",
        "A Map of, An Atlas of, A Market in, A Fair in,"
        " Cats of, Dogs of, A Steam Engine in, A Signal Box in",
        "Lisbon, the Lake District, Bruges, Old Vienna, Umbria, the Alps, Kyoto, Cornwall",
    ),
    Shelf(
        "roses",
        "Climbing Rose, Rambling Rose, Bush Rose, Shrub Rose,"
        " Tea Rose, Musk Rose, Dwarf Rose, Patio Rose",
        "Lady Ashcombe, Morning Blush, Cardinal's Hat, Summer Snow, Old Velvet,"
        " Apricot Queen, Dawn Chorus, Miss Penrose",
    ),
    Shelf(
        "seeds",
        "Tomato, Pepper, Runner Bean, Garden Pea, Lettuce, Spinach, Carrot, Beetroot",
        "Early Bird, Gardener's Pride, Red Sunset, Little Treasure, Market Day,"
        " Farmhouse, Long Harvest, First Frost",
    ),
    Shelf(
        "teas",
        "Smoky Black, Malty Black, Green Leaf, Jasmine Green,"
        " Mint, Camomile, White Bud, Silver Needle",
        "Morning Cup, Mountain Mist, Caravan Blend, Lantern Festival, Rainy Day,"
        " Garden Gate, Slow Afternoon, Harbour Blend",
    ),
    Shelf(
        "baking",
        "Rye, Sourdough, Almond, Hazelnut, Lemon, Orange, Chocolate, Cocoa",
        "Loaf Tin and Recipe, Baker's Box, Biscuit Kit, Ring Mould, Bun Tray,"
        " Sunday Cake Set, Tart Case, Festival Wreath",
    ),
    Shelf(
        "spices",
        "Smoked Paprika, Hot Chilli, Green Cardamom, Sweet Cinnamon,"
        " Wild Thyme, Dried Oregano, Black Pepper, Pink Pepper",
        "in a Tin, from the Hills, Whole, Ground, Grinder, for Stews, for Roasting, Gift Jar",
    ),
    Shelf(
        "walking maps",
        "Coast Path, Cliff Path, Ridge Walk, Summit Walk,"
        " Canal Walk, River Walk, Forest Trail, Heath Trail",
        "Carrow Bay, Hazel Valley, Thornmoor, Lindholm, Saint Orran, the Two Lakes,"
        " Pennyfold, Gull Point",
    ),
    Shelf(
        "cycling",
        "Touring, Pannier, Racing, Sprint, Mountain, Gravel, City, Folding",
        "Saddle, Handlebar Tape, Lamp Set, Tyre Pair, Bell, Repair Kit, Gloves, Rain Cape",
    ),
    Shelf(
        "birdwatching",
        "Owls of, Hawks of, Waders of, Ducks of, Warblers of, Finches of, Gulls of, Terns of",
        "the Estuary, the High Moor, Northern Woods, the Water Meadows, City Parks,"
        " the Islands, the Salt Marsh, Hedge and Field",
    ),
    Shelf(
        "knitting",
        "Merino, Lambswool, Mohair, Angora, Cotton, Linen, Tweed, Donegal",
        "Yarn in Moss, Yarn in Slate, Yarn in Rust, Scarf Pattern, Mitten Pattern,"
        " Cardigan Pattern, Sock Kit, Blanket Kit",
    ),
    Shelf(
        "watercolours",
        "Painting, Washes for, Sketching, Pencil Studies of,"
        " Ink and Wash, Pen Studies of, Gouache, Gouache Studies of",
        "Skies, Harbours, Old Trees, Wild Flowers, Rooftops, Birds, Still Waters, Faces",
    ),
    Shelf(
        "woodwork",
        "Carving, Whittling, Turning, Lathe Work for, Joining, Dovetails for, Gilding, Inlay for",
        "Spoons, Bowls, Small Boxes, Stools, Toy Animals, Picture Frames, Chess Pieces,"
        " Bird Houses",
    ),
)
