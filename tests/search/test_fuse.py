from syncd.search.fuse import Fusion, Ranked, fuse, grouped


def test_ranks_are_fused_reciprocally():
    fused = fuse(["a", "b", "c"], ["c", "d", "a"], Fusion(dense=2.0, sparse=1.0, k=60))
    assert [hit.id for hit in fused] == ["a", "c", "b", "d"]
    assert fused[0] == Ranked("a", 2 / 61 + 1 / 63, 1, 3)
    assert fused[3] == Ranked("d", 1 / 62, None, 2)


def test_equal_scores_keep_the_dense_order_first():
    assert [hit.id for hit in fuse(["a", "b"], ["x", "y"], Fusion(1.0, 1.0, 60))] == ["a", "x", "b", "y"]


def test_a_weight_of_nothing_leaves_one_ranking():
    assert [hit.id for hit in fuse(["a", "b"], ["b", "c"], Fusion(dense=0.0))][:2] == ["b", "c"]


def test_groups_are_led_by_their_best_hit():
    hits = [Ranked("a-0", 3.0), Ranked("b-0", 2.0), Ranked("a-1", 1.0)]
    groups = grouped(hits, lambda chunk_id: chunk_id[0])
    assert [(hit.id, hit.also) for hit in groups] == [("a-0", ("a-1",)), ("b-0", ())]
