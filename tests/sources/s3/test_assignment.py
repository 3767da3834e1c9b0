from hypothesis import given
from hypothesis import strategies as st

from syncd.sources.s3.assignment import Assignment, assignments
from syncd.sources.s3.endpoint import Endpoint
from syncd.sources.s3.label_store import Label
from syncd.sources.s3.settings import AutoSync, S3Settings


def settings(auto_sync: AutoSync = AutoSync.DIRECT) -> S3Settings:
    return S3Settings("bucket", Endpoint("r"), "docs", auto_sync=auto_sync)


def file(name: str = "f", collection: str = "", custom_id: str = "id", at: float = 1.0) -> Label:
    return Label(f"{name}.meta.json", "a.txt", collection, custom_id, {"from": name}, "e", at)


def said(collection: str = "", custom_id: str = "", at: float = 1.0, path: str = "a.txt") -> Label:
    return Label("", path, collection, custom_id, said_at=at)


def test_an_object_nobody_speaks_of_belongs_in_the_sources_collection():
    assert assignments([], settings()) == {"docs": Assignment()}
    assert assignments([], settings(AutoSync.NONE)) == {"docs": Assignment()}


def test_with_metadata_files_only_it_belongs_nowhere():
    assert assignments([], settings(AutoSync.METADATA)) == {}


def test_a_metadata_file_moves_its_object_to_the_collection_that_it_names():
    assert assignments([file(collection="tenant")], settings()) == {"tenant": Assignment("id", {"from": "f"})}


def test_several_files_can_place_one_object_in_several_collections():
    placed = assignments([file("f", "one"), file("g", "two"), file("h")], settings(AutoSync.METADATA))
    assert set(placed) == {"one", "two", "docs"}


def test_of_two_files_for_one_collection_the_later_counts():
    placed = assignments([file("f", custom_id="new", at=2.0), file("g", custom_id="old")], settings())
    assert placed["docs"].custom_id == "new"


def test_an_invocation_that_says_nothing_does_not_silence_a_file():
    assert assignments([file(at=1.0), said(at=9.0)], settings())["docs"].custom_id == "id"


def test_an_invocation_that_says_something_later_counts():
    assert assignments([file(at=1.0), said(custom_id="mine", at=9.0)], settings())["docs"].custom_id == "mine"


def test_an_invocation_places_beside_whatever_is_placed():
    assert set(assignments([said("other")], settings())) == {"other", "docs"}
    assert set(assignments([said("other")], settings(AutoSync.METADATA))) == {"other"}


def test_a_whole_bucket_can_be_placed_in_another_collection():
    assert set(assignments([said("other", path="")], settings())) == {"other", "docs"}


labels = st.lists(
    st.builds(
        Label,
        st.sampled_from(["", "f.meta.json", "g.meta.json"]),
        st.sampled_from(["a.txt", ""]),
        st.sampled_from(["", "one", "docs"]),
        st.sampled_from(["", "id1", "id2"]),
        said_at=st.sampled_from([1.0, 2.0]),
    ),
    max_size=5,
    unique_by=lambda label: (label.file_key, label.path, label.collection),
)


@given(labels, st.sampled_from(AutoSync), st.randoms())
def test_the_order_in_which_things_were_said_does_not_matter(said: list[Label], mode: AutoSync, random):
    shuffled = random.sample(said, len(said))
    assert assignments(said, settings(mode)) == assignments(shuffled, settings(mode))
