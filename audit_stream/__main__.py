"""``python -m audit_stream``."""

from audit_stream.cli.main import run

if __name__ == "__main__":
    run()
