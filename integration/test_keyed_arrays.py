"""Arrays that apps assign whole, whose elements are told apart: by an `_id`, by a field of a rule,
or as the members of a set."""

import re

import pytest
from pymongo import UpdateOne

from cluster import Cluster

RULES = [{"namespace": "shop.by_sku*", "fields": {"cart.items": "keyed(sku)"}},
         {"namespace": "shop.by_value*", "fields": {"tags": "set"}},
         {"namespace": "shop.whole*", "fields": {"cart.items": "lww"}},
         {"namespace": "shop.diff*", "replaces": "diff"}]
FORMS = ["replica_set", pytest.param("standalone", marks=pytest.mark.long)]


@pytest.fixture(scope="module", params=FORMS)
def pair(tmp_path_factory, request):
    with Cluster(tmp_path_factory.mktemp("pair"), settings={"replicate": RULES},
                 replica_set=request.param == "replica_set") as cluster:
        cluster.form = request.param
        yield cluster


def item(key, **fields):
    return {"_id": key, "sku": key, **fields}


ITEMS = [item("pen", qty=1, note="blue"), item("ink", qty=2), item("cup", qty=3)]


class Carts:
    """One cart at both sites."""

    def __init__(self, pair, name, items):
        self.pair = pair
        self.sites = pair.collections(name)
        self.sites[0].insert_one({"_id": 1, "cart": {"items": items}, "n": 0})
        pair.wait_converged(["shop"])

    def apart(self):
        return self.pair.apart("oslo", "paris")

    def converged(self):
        """What both sites hold."""
        self.pair.wait_converged(["shop"])
        here, there = (site.find_one({"_id": 1})["cart"]["items"] for site in self.sites)
        assert here == there
        return here


@pytest.fixture
def carts(pair, request):
    def of(kind, items=ITEMS):
        return Carts(pair, f"{kind}_{re.sub(r'[^a-z_]', '_', request.node.name)[-50:]}", items)
    return of


def assign(collection, items, how="update_one"):
    change = {"$set": {"cart.items": items}}
    if how == "pipeline":
        collection.update_one({"_id": 1}, [{"$set": {"cart.items": {"$literal": items}}}])
    elif how == "find":
        collection.find_one_and_update({"_id": 1}, change)
    elif how == "bulk":
        collection.bulk_write([UpdateOne({"_id": 1}, change)])
    elif how == "by a field":
        collection.update_many({"n": 0}, {**change, "$inc": {"n": 0}})
    elif how == "replace":
        collection.replace_one({"_id": 1}, {"cart": {"items": items}, "n": 0})
    elif how == "transaction":
        with collection.database.client.start_session() as session, session.start_transaction():
            collection.update_one({"_id": 1}, change, session=session)
    else:
        collection.update_one({"_id": 1}, change)


@pytest.mark.parametrize("how", ["update_one", "pipeline", "find", "bulk", "by a field", "replace",
                                 "transaction"])
@pytest.mark.parametrize("kind", ["plain", "by_sku"])
def test_what_two_sites_change_in_an_array_stands(pair, carts, kind, how):
    if how == "transaction" and pair.form == "standalone":
        pytest.skip("no transactions there")
    both = carts("diff" if how == "replace" else kind)
    oslo, paris = both.sites
    with both.apart():
        assign(oslo, [item("pen", qty=9, note="blue"), item("cup", qty=3), item("hat", qty=1)], how)
        assign(paris, [item("pen", qty=1, note="red"), item("ink", qty=2), item("cup", qty=4),
                       item("bag", qty=5)], how)
    assert both.converged() == [item("pen", qty=9, note="red"), item("cup", qty=4),
                                item("hat", qty=1), item("bag", qty=5)]


def test_it_stands_beside_edits_of_elements(carts):
    both = carts("by_sku")
    with both.apart():
        assign(both.sites[0], [item("pen", qty=1, note="red"), item("ink", qty=2),
                               item("cup", qty=3)])
        both.sites[1].update_one({"_id": 1}, {"$inc": {"cart.items.$[e].qty": 5}},
                                 array_filters=[{"e.sku": "pen"}])
        both.sites[1].update_one({"_id": 1}, {"$pull": {"cart.items": {"sku": "ink"}}})
        both.sites[1].update_one({"_id": 1}, {"$push": {"cart.items": item("hat", qty=1)}})
    assert both.converged() == [item("pen", qty=6, note="red"), item("cup", qty=3),
                                item("hat", qty=1)]


def test_a_field_assigned_at_both_is_in_the_ledger(pair, carts):
    both = carts("by_sku")
    with both.apart():
        assign(both.sites[0], [item("pen", qty=7, note="blue"), *ITEMS[1:]])
        assign(both.sites[1], [item("pen", qty=8, note="blue"), *ITEMS[1:]])
    assert both.converged() == [item("pen", qty=8, note="blue"), *ITEMS[1:]]
    name = both.sites[0].full_name
    for site in pair:
        lost = list(site.app().outrigger.conflicts.find({"namespace": name}))
        assert [each["lost"] for each in lost] == [7]


def test_an_array_emptied_by_rule_leaves_what_was_not_seen(carts):
    both = carts("by_sku")
    with both.apart():
        assign(both.sites[0], [])
        assign(both.sites[1], [*ITEMS, item("hat", qty=1)])
    assert both.converged() == [item("hat", qty=1)]


ORDER = ["cup", "pen", "ink"]  # as it comes out, too, where `order` sorts


def items_of(collection):
    return {each["sku"]: each for each in collection.find_one({"_id": 1})["cart"]["items"]}


def order(collection, wanted, how="update_one"):
    """The items that are there, in this order."""
    if how == "sort":
        collection.update_one({"_id": 1}, [{"$set": {"cart.items": {"$sortArray": {
            "input": "$cart.items", "sortBy": {"rank": 1}}}}}])
    elif how == "push":
        collection.update_one({"_id": 1}, {"$push": {"cart.items": {
            "$each": [], "$sort": {"rank": 1}}}})
    else:
        items = items_of(collection)
        assign(collection, [items[each] for each in wanted], how)


@pytest.mark.parametrize("how", ["update_one", "pipeline", "find", "bulk", "by a field", "replace",
                                 "transaction", "sort", "push"])
@pytest.mark.parametrize("kind", ["plain", "by_sku"])
def test_what_is_written_into_an_item_that_moves_stands(pair, carts, kind, how):
    if how == "transaction" and pair.form == "standalone":
        pytest.skip("no transactions there")
    items = [{**each, "rank": ORDER.index(each["sku"])} for each in ITEMS]
    both = carts("diff" if how == "replace" else kind, items)
    oslo, paris = both.sites
    with both.apart():
        order(oslo, ORDER, how)
        paris.update_one({"_id": 1}, {"$inc": {"cart.items.2.qty": 4, "cart.items.0.qty": 1}})
        paris.update_one({"_id": 1}, {"$push": {"cart.items": item("bag", qty=5)}})
    assert [(each["sku"], each["qty"]) for each in both.converged()] == [
        ("cup", 7), ("pen", 2), ("ink", 2), ("bag", 5)]
    assert not lost_by(pair, oslo)


def lost_by(pair, collection):
    return [each["lost"] for site in pair for each in
            site.app().outrigger.conflicts.find({"namespace": collection.full_name})]


def test_of_moves_of_one_item_the_later_stands_and_who_takes_it_away_wins(pair, carts):
    both = carts("by_sku", [item(each, qty=1) for each in ["pen", "ink", "cup", "hat", "bag"]])
    oslo, paris = both.sites
    with both.apart():
        order(oslo, ["cup", "pen", "ink", "hat", "bag"])
        order(paris, ["pen", "ink", "hat", "bag", "cup"])
    assert [each["sku"] for each in both.converged()] == ["pen", "ink", "hat", "bag", "cup"]
    with both.apart():
        order(oslo, ["cup", "pen", "hat", "bag"])
        order(paris, ["pen", "hat", "bag", "cup", "ink"])
    assert [each["sku"] for each in both.converged()] == ["cup", "pen", "hat", "bag"]
    assert not lost_by(pair, oslo)


@pytest.mark.parametrize("later", [
    pytest.param([*ITEMS, item("pen", qty=2)], id="a key twice"),
    pytest.param([*ITEMS, {"qty": 1}], id="an element without a key"),
    pytest.param([1, 2], id="no documents")])
def test_what_cannot_be_told_apart_is_an_assignment(carts, later):
    both = carts("by_sku")
    with both.apart():
        assign(both.sites[0], [*ITEMS[:2], item("cup", qty=9)])
        assign(both.sites[1], later)
    assert both.converged() == later


def test_where_no_array_was_the_later_one_stands(carts):
    both = carts("by_sku", items=None)
    with both.apart():
        assign(both.sites[0], ITEMS[:1])
        assign(both.sites[1], ITEMS[1:])
    assert both.converged() == ITEMS[1:]


def test_a_rule_that_assigns_beats_the_default(carts):
    both = carts("whole")
    with both.apart():
        assign(both.sites[0], [*ITEMS[:2], item("cup", qty=9)])
        assign(both.sites[1], ITEMS[:2])
    assert both.converged() == ITEMS[:2]


def test_a_set_keeps_what_each_added_and_loses_what_each_took_away(pair, carts):
    both = carts("by_value")
    oslo, paris = both.sites
    oslo.update_one({"_id": 1}, {"$set": {"tags": ["a", "b", "c"]}})
    pair.wait_converged(["shop"])
    with both.apart():
        oslo.update_one({"_id": 1}, {"$set": {"tags": ["b", "c", "d"]}})
        paris.update_one({"_id": 1}, {"$set": {"tags": ["a", "b", "d", "e"]}})
        paris.update_one({"_id": 1}, {"$push": {"tags": "f"}})
        oslo.update_one({"_id": 1}, {"$push": {"tags": "f"}})
    both.converged()
    assert oslo.find_one()["tags"] == paris.find_one()["tags"] == ["b", "d", "e", "f"]


def test_statements_of_one_transaction_move_and_write(pair, carts):
    if pair.form == "standalone":
        pytest.skip("no transactions there")
    both = carts("plain")
    oslo, paris = both.sites
    with both.apart():
        with oslo.database.client.start_session() as session, session.start_transaction():
            oslo.update_one({"_id": 1}, {"$set": {"cart.items": [ITEMS[2], *ITEMS[:2]]}},
                            session=session)
            oslo.update_one({"_id": 1}, {"$inc": {"cart.items.0.qty": 1}}, session=session)
            oslo.update_one({"_id": 1}, {"$push": {"cart.items": item("hat", qty=1)}},
                            session=session)
        paris.update_one({"_id": 1}, {"$set": {"cart.items.2.note": "red"}})
        paris.update_one({"_id": 1}, {"$pull": {"cart.items": {"sku": "ink"}}})
    assert both.converged() == [item("cup", qty=4, note="red"), ITEMS[0], item("hat", qty=1)]
    assert not lost_by(pair, oslo)


# The last one: a sidecar that was killed gives stamps ahead of its clock for a while.
def test_a_restarted_site_knows_where_items_stand(pair, carts):
    both = carts("plain")
    oslo, paris = both.sites
    order(oslo, ORDER)
    both.pair.wait_converged(["shop"])
    with both.apart():
        paris.update_one({"_id": 1}, {"$push": {"cart.items": item("bag", qty=5)}})
        order(oslo, ["ink", "cup", "pen"])
        pair.oslo.sidecar.kill()
        pair.oslo.sidecar.start()
        order(oslo, ["pen", "ink", "cup"])
    assert [each["sku"] for each in both.converged()] == ["pen", "ink", "cup", "bag"]
