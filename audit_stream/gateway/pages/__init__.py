"""The auditor's pages: rendered here, without any script, over the same reads as the API's."""
