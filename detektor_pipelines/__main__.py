"""`python -m detektor_pipelines …` is `detektor …`, where the script is not on the path."""

from detektor_pipelines.cli import main

if __name__ == "__main__":
    main()
