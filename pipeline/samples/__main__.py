"""Write the sample files: `python -m pipeline.samples sample_data`."""

import argparse
from pathlib import Path

from pipeline.samples.files import write_sample_files


def main(arguments: list[str] | None = None) -> None:
    """Write every sample file into the folder that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.samples", description=__doc__)
    parser.add_argument("folder", type=Path, help="where to; existing files are replaced")
    write_sample_files(parser.parse_args(arguments).folder)


if __name__ == "__main__":
    main()
