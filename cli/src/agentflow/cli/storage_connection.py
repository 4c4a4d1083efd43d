"""Which database an operator's command means."""

from agentflow.cli.dev_file import find_dev_file
from agentflow.storage.settings import StorageSettings


def storage_settings(given: str | None) -> StorageSettings:
    """The named database, else the one the environment names, else the running stack's."""
    if given is not None:
        return StorageSettings(database_url=given)
    settings = StorageSettings()
    if "database_url" in settings.model_fields_set:
        return settings
    dev = find_dev_file()
    return settings if dev is None else StorageSettings(database_url=dev.database_url)


def database_url(given: str | None) -> str:
    """Only its URL."""
    return storage_settings(given).database_url
