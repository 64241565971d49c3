"""The platform's configuration: YAML files and their typed loader."""
