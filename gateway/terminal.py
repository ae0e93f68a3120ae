"""What the CLI may print: text of models and clients without anything that a terminal would obey."""

from datetime import datetime

from rich.console import Console, OverflowMethod
from rich.table import Table
from rich.text import Text

from schema import characters

PIPED_WIDTH = 140


def clean(text: object) -> str:
    """`text` with every control, invisible, unpaired and direction-changing character replaced."""
    # The line ends of Windows are line ends here too: a lone carriage return would hide what is before it.
    return characters.clean(str(text).replace("\r\n", "\n"))


def line(text: object) -> str:
    """`text` cleaned, as one line."""
    return " ".join(clean(text).split())


def plain(text: object, style: str = "") -> Text:
    """`text` cleaned, for rich; never read as markup."""
    return Text(clean(text), style=style)


def elide(text: str, width: int) -> str:
    """`text` in at most `width` characters, without its middle where it is longer: both ends tell things apart."""
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return f"{text[: width - 1 - end]}…{text[len(text) - end :]}"


def table_of(*names: str, overflow: OverflowMethod = "ellipsis") -> Table:
    """An empty table with these columns, as all lists of the command line look."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        table.add_column(name, overflow=overflow)
    return table


def time_of(moment: datetime | None) -> str:
    """A moment by the clock of whoever looks; nothing where there is none."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def print_table(screen: Console, table: Table) -> None:
    """Print a table; what is not a terminal gets no spaces at the ends of lines."""
    if screen.is_terminal:
        screen.print(table)
        return
    with screen.capture() as captured:
        screen.print(table)
    for row in captured.get().splitlines():
        screen.print(Text(row.rstrip()), soft_wrap=True)


def console(*, stderr: bool = False) -> Console:
    """A console that reads no markup out of what it prints."""
    made = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = PIPED_WIDTH
    return made
