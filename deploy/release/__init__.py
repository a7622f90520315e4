"""A release that anybody can build again and compare, byte for byte (ADR 0031)."""
