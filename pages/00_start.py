"""Start: which quantity is intractable and which page deals with it, and scenes that open with one click."""

from lvmviz import EM, Iris, ui
from lvmviz.figures.map import Node, intractable_map
from lvmviz.ui import run_desk, site

TITLE = "Start"
GROUP = ""
CLAIM = "See latent variable models: the picture is live under the hand, and the numbers are exact."
MAP = 460  # height, px

# The whole map. A page is there as soon as its file is; until then it is drawn as one to come.
PLAN = (
    Node("Evidence", "evidence", "evidence"),
    Node("Fit q, one dimension", "posterior", "fit_q_1d"),
    Node("Fit q, two dimensions", "posterior", "fit_q_2d"),
    Node("Gradients", "gradient", "gradients"),
    Node("Mixtures", "em", "mixtures"),
    Node("Beyond mixtures", "em", "em_beyond"),
    Node("VAE lab", "amortized", "vae_lab"),
    Node("Latent space", "amortized", "latent_space"),
    Node("Gaps", "amortized", "gaps"),
    Node("Missing pixels", "missing", "missing_pixels"),
)

DOORS = (
    ui.Door(
        "Slide q onto a posterior",
        "Take q with the mouse and push it: ELBO, KL and evidence trade against each other, exactly.",
        "fit_q_1d",
        {},
    ),
    ui.Door(
        "Watch EM converge",
        "150 irises, three Gaussians. Press E, then M, and see which of the two moves.",
        "mixtures",
        ui.link_of(EM(data=Iris())) | {"seed": "31"},
    ),
    ui.Door(
        "Walk a latent space",
        "Move over a plane of digits and see every point decode; pin one for its exact log p(x).",
        "latent_space",
        {},
    ),
    ui.Door(
        "Your own table",
        "A CSV file or pasted numbers; they stay on this computer.",
        "mixtures",
        {"data": "Stored"},
    ),
)


def draw() -> None:
    """The map, then the doors."""
    there = {page.url for page in site.pages()}
    nodes = [node if node.path in there else node._replace(path=None) for node in PLAN]
    left, right = ui.beside(280)
    with left:
        picked = ui.plot(
            "map",
            lambda: intractable_map(nodes, dark=ui.dark(), height=MAP),
            depends=(tuple(nodes), ui.dark()),
            height=MAP,
            alt="Map: which quantity is intractable, and which page deals with it",
            on_pick=ui.nothing,
        )
    with right:
        ui.doors(DOORS)
        run_desk.recent()
        ui.computer()
    ui.open_picked(picked.pick)


ui.page("start", "lvmviz", CLAIM, draw)
