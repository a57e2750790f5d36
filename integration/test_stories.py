"""What people do at two sites while the line is down, and what they find when it is back."""

import contextlib
import functools

import pytest

from cluster import Cluster
from waiting import wait_until

RULES = [{"namespace": "shop.meetings", "fields": {"when": {"type": "lww", "escalate": True}}}]


FORMS = {"replica_set": True, "standalone": False}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """made(form): oslo and paris on mongods of that form; the same ones every time."""
    with contextlib.ExitStack() as stack:
        @functools.cache
        def make(form):
            return stack.enter_context(Cluster(
                tmp_path_factory.mktemp(form), replica_set=FORMS[form],
                settings={"replicate": RULES}))
        yield make


@pytest.fixture
def pair(made, request):
    return made(getattr(request, "param", "replica_set"))


ON_BOTH_FORMS = pytest.mark.parametrize("pair", FORMS, indirect=True)


def entries(site, **wanted):
    return list(site.app().outrigger.conflicts.find(wanted))


def test_a_meeting_is_moved_renamed_and_joined_at_two_sites(pair):
    oslo, paris = pair.collections("meetings")
    oslo.insert_one({"_id": "m", "title": "Budget", "when": "Mon 9", "people": ["ada"]})
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        oslo.update_one({"_id": "m"}, {"$addToSet": {"people": "bob"}, "$set": {"when": "Tue 9"}})
        oslo.update_one({"_id": "m"}, {"$set": {"title": "Budget 2027"}})
        paris.update_one({"_id": "m"}, {"$addToSet": {"people": "cid"}, "$set": {"when": "Wed 9"}})
        paris.update_one({"_id": "m"}, {"$set": {"title": "Money"}})
    [meeting] = pair.alike((oslo, paris))
    assert meeting == {"_id": "m", "title": "Money", "when": "Wed 9",
                       "people": ["ada", "bob", "cid"]}
    for site in pair:
        [time] = entries(site, namespace="shop.meetings", state="open")
        assert (time["path"], time["lost"], time["won"]) == ("when", "Tue 9", "Wed 9")
    [title] = entries(pair.oslo, namespace="shop.meetings", path="title")
    assert (title["lost"], title["won"], title["state"]) == ("Budget 2027", "Money", "auto")
    pair.oslo.app().outrigger.command({"choose": title["_id"]})
    assert pair.alike((oslo, paris))[0]["title"] == "Budget 2027"
    # Somebody at oslo decides when it is: everybody has that time, and oslo asks no more.
    [time] = entries(pair.oslo, namespace="shop.meetings", state="open")
    answer = pair.oslo.app().outrigger.command({"choose": time["_id"]})
    assert answer["state"] == "resolved"
    assert pair.alike((oslo, paris)) == [{**meeting, "title": "Budget 2027", "when": "Tue 9"}]
    assert entries(pair.oslo, namespace="shop.meetings", state="open") == []
    [time] = entries(pair.oslo, _id=time["_id"])
    assert (time["path"], time["state"]) == ("when", "resolved")


@ON_BOTH_FORMS
def test_a_cart_is_filled_at_two_sites(pair):
    carts = pair.collections("carts")
    carts[0].insert_one({"_id": 1, "items": [{"sku": "pen", "qty": 1}, {"sku": "ink", "qty": 2}]})
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        carts[0].update_one({"_id": 1}, {"$push": {"items": {"sku": "cup", "qty": 1}}})
        carts[0].update_one({"_id": 1, "items.sku": "ink"}, {"$inc": {"items.$.qty": 3}})
        carts[1].update_one({"_id": 1}, {"$push": {"items": {"sku": "map", "qty": 4}}})
        carts[1].update_one({"_id": 1, "items.sku": "ink"}, {"$inc": {"items.$.qty": -1}})
        carts[1].update_one({"_id": 1}, {"$pull": {"items": {"sku": "pen"}}})
    [cart] = pair.alike(carts)
    assert cart["items"] == [{"sku": "ink", "qty": 4}, {"sku": "cup", "qty": 1},
                             {"sku": "map", "qty": 4}]


def test_a_stock_is_sold_from_at_two_sites(pair):
    stock = pair.collections("stock")
    stock[0].insert_one({"_id": "pen", "left": 100, "sold": {"2026": 0}})
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        for site, times in zip(stock, (7, 5)):
            for _ in range(times):
                site.update_one({"_id": "pen", "left": {"$gt": 0}},
                                {"$inc": {"left": -1, "sold.2026": 1}})
    assert pair.alike(stock) == [{"_id": "pen", "left": 88, "sold": {"2026": 12}}]


def test_two_people_register_one_address(pair):
    users = pair.collections("users")
    users[0].create_index("mail", unique=True)
    pair.wait_converged(["shop"])
    users[0].insert_one({"_id": 0, "mail": "zoe@example.net"})
    pair.wait_converged(["shop"])
    pair.cut("oslo", "paris")
    users[0].insert_one({"_id": 1, "mail": "ada@example.net", "name": "Ada of oslo"})
    users[1].insert_one({"_id": 2, "mail": "ada@example.net", "name": "Ada of paris"})
    pair.heal("oslo", "paris")
    wait_until(lambda: all(site.sidecar.metric("not_applied") == 1 for site in pair),
               "the later one is parked at both")
    pair.wait_converged(["shop"])
    for site, each in zip(pair, users):
        assert {user["name"] for user in each.find({"_id": {"$gt": 0}})} == {"Ada of oslo"}
        [aside] = entries(site, namespace="shop.users", kind="unique")
        assert (aside["document"], aside["state"], aside["won"]) == (2, "open", 1)
        assert aside["lost"]["name"] == "Ada of paris"
    # Somebody decides: the other one gets in everywhere.
    users[0].update_one({"_id": 1}, {"$set": {"mail": "ada.o@example.net"}})
    assert {user["mail"] for user in pair.alike(users)} == {
        "zoe@example.net", "ada@example.net", "ada.o@example.net"}
