"""audit_stream: message-status topics in, a write-once archive that proves itself out."""

__version__ = "0.1.0"
