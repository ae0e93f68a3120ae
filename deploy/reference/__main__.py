"""`python -m deploy.reference`: write every page of the reference."""

from deploy.reference.pages import FOLDER, PAGES


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())
    print(f"wrote {len(PAGES)} pages to {FOLDER}")


if __name__ == "__main__":
    main()
