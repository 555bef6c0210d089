from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from vitbench.data.split import stratified


@st.composite
def _requests(draw):
    labels = draw(st.lists(st.integers(0, 4), min_size=3, max_size=120))
    num_test = draw(st.integers(0, len(labels) // 3))
    num_val = draw(st.integers(0, len(labels) // 3))
    return labels, num_val, num_test


@given(_requests())
def test_is_a_partition_of_the_requested_sizes(request_):
    labels, num_val, num_test = request_
    train, val, test = stratified(labels, num_val=num_val, num_test=num_test)
    assert (len(val), len(test)) == (num_val, num_test)
    assert sorted(train + val + test) == list(range(len(labels)))


@given(_requests())
def test_every_class_has_its_share_to_within_one_image(request_):
    labels, num_val, num_test = request_
    total = Counter(labels)
    test = Counter(labels[i] for i in stratified(labels, num_val=num_val, num_test=num_test)[2])
    for label, size in total.items():
        assert abs(test[label] - size * num_test / len(labels)) <= 1


def test_follows_from_the_keys_alone():
    labels = [0] * 30 + [1] * 30
    keys = [f"image{i}" for i in range(60)]
    reverse = list(range(59, -1, -1))
    _, _, test = stratified(labels, num_val=6, num_test=6, keys=keys)
    _, _, turned = stratified([labels[i] for i in reverse], num_val=6, num_test=6, keys=[keys[i] for i in reverse])
    assert sorted(keys[i] for i in test) == sorted(keys[reverse[i]] for i in turned)
