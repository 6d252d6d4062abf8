"""``python -m zsda.cache``: what decoded images take of the disk, and how to get it back."""

from omegaconf import DictConfig

from zsda.core.command import command
from zsda.core.errors import StoreError
from zsda.core.files import cache_folder, describe_os_error


@command("cache")
def main(config: DictConfig) -> None:
    """Says how large the cache is, or empties it."""
    import shutil

    from rich.console import Console
    from rich.filesize import decimal

    try:
        folder = cache_folder() / "images"
    except RuntimeError as error:
        raise StoreError("this user has no folder for a cache; set XDG_CACHE_HOME") from error
    entries = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in entries)
    if config["clear"] and folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise StoreError(describe_os_error(error, folder)) from error
    what = "freed" if config["clear"] else "kept"
    text = f"{len(entries)} decoded images and labels, {decimal(size)}, {what}: {folder}"
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
