import pytest

from syncd.errors import PermanentError
from syncd.sources.azure_blob.naming import check_storage_queue


@pytest.mark.parametrize("host", ["acme.queue.core.windows.net", "127.0.0.1:10001/devstoreaccount1"])
def test_a_queues_url_is_one_whose_host_and_port_there_can_be(host):
    assert check_storage_queue(f"https://{host}/syncd") == f"https://{host}/syncd"
    for wrong in (
        f"https://{host}/Syncd",
        f"ftp://{host}/syncd",
        "https:///syncd",
        "https://a:70000/syncd",
        "http://[::1",
    ):
        with pytest.raises(PermanentError, match="no URL of a queue"):
            check_storage_queue(wrong)
