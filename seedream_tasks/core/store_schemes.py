"""Stores by URI scheme, and what to install for each."""

# Scheme -> what pip installs. An extra of this package where it has one.
_DRIVERS = {
    **dict.fromkeys(("s3", "s3a"), "'seedream-tasks[s3]'"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl", "azure"), "adlfs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
    **dict.fromkeys(("http", "https"), "aiohttp"),
    **dict.fromkeys(("smb",), "smbprotocol"),
    **dict.fromkeys(("oss",), "ossfs"),
    **dict.fromkeys(("oci", "ocilake"), "ocifs"),
    **dict.fromkeys(("webhdfs", "webHDFS", "github", "dropbox"), "requests"),
    **dict.fromkeys(("hf",), "huggingface_hub"),
    **dict.fromkeys(("gdrive",), "gdrive_fsspec"),
    **dict.fromkeys(("box",), "boxfs"),
}


def driver_hint(address: str, error: BaseException) -> str | None:
    """How to install the driver missing for `address`; None when it failed for another or an unknown reason."""
    if not isinstance(error, ImportError):
        return None
    for part in reversed(address.split("::")):
        driver = _DRIVERS.get(part.partition("://")[0].lower())
        if driver is not None:
            return f"pip install {driver}"
    return None
