"""What two sites do in one element of an array without hearing of each other: a cart."""

import pytest

from cluster import Cluster

FORMS = ["replica_set", "standalone"]


@pytest.fixture(scope="module", params=FORMS)
def pair(tmp_path_factory, request):
    with Cluster(tmp_path_factory.mktemp("pair"),
                 replica_set=request.param == "replica_set") as cluster:
        yield cluster


@pytest.fixture
def carts(pair, request):
    collections = pair.collections(request.node.originalname)
    collections[0].insert_one({"_id": 1, "scores": [1, 10], "items": [
        {"sku": "pen", "qty": 1}, {"sku": "ink", "qty": 2},
        {"sku": "paper", "qty": 3, "size": {"w": 210}}]})
    pair.wait_converged(["shop"])
    return collections


def lost_at(site, carts):
    """Where, and what."""
    return sorted((entry["path"], entry["lost"]) for entry in site.app().outrigger.conflicts.find(
        {"namespace": carts[0].full_name}))


def lost(pair, carts):
    """The same at both sites."""
    assert lost_at(pair.oslo, carts) == lost_at(pair.paris, carts)
    return lost_at(pair.oslo, carts)


def test_a_cart(pair, carts):
    oslo, paris = carts
    with pair.apart("oslo", "paris"):
        oslo.update_one({"_id": 1}, {"$push": {"items": {"sku": "cup", "qty": 1}}})
        paris.update_one({"_id": 1}, {"$push": {"items": {"sku": "nib", "qty": 1}}})
        paris.update_one({"_id": 1}, {"$pull": {"items": {"sku": "pen"}}})
        oslo.update_one({"_id": 1, "items.sku": "ink"}, {"$inc": {"items.$.qty": 5}})
        paris.update_one({"_id": 1}, {"$inc": {"items.0.qty": 7}})
        oslo.update_one({"_id": 1}, {"$inc": {"items.$[i].qty": 1}},
                        array_filters=[{"i.sku": "paper"}])
        paris.update_one({"_id": 1}, {"$set": {"items.$[i].note": "A4"}},
                         array_filters=[{"i.sku": "paper"}])
        oslo.update_one({"_id": 1}, {"$set": {"items.2.size.h": 297}, "$inc": {"scores.1": 1}})
        paris.update_one({"_id": 1}, {"$unset": {"items.1.size.w": 1}, "$inc": {"scores.1": 2}})
    document = pair.alike(carts)[0]
    assert document["items"] == [
        {"sku": "ink", "qty": 14}, {"sku": "paper", "qty": 4, "size": {"h": 297}, "note": "A4"},
        {"sku": "cup", "qty": 1}, {"sku": "nib", "qty": 1}]
    assert document["scores"] == [1, 13]
    assert lost(pair, carts) == []


def test_a_quantity_is_counted_in_all_elements(pair, carts):
    with pair.apart("oslo", "paris"):
        for collection in carts:
            collection.update_one({"_id": 1}, {"$inc": {"items.$[].qty": 1, "items.$[].seen": 2}})
    assert [(item["qty"], item["seen"]) for item in pair.alike(carts)[0]["items"]] == [
        (3, 4), (4, 4), (5, 4)]


def test_one_field_and_the_whole_element(pair, carts):
    oslo, paris = carts
    with pair.apart("oslo", "paris"):
        oslo.update_one({"_id": 1}, {"$set": {"items.0.sku": "biro", "items.1.note": "red"}})
        oslo.update_one({"_id": 1}, {"$inc": {"items.1.qty": 2}})
        paris.update_one({"_id": 1}, {"$set": {"items.0.sku": "quill"}})
        paris.update_one({"_id": 1, "items.sku": "ink"},
                         {"$set": {"items.$": {"sku": "ink", "qty": 50}}})
    items = pair.alike(carts)[0]["items"]
    assert items[:2] == [{"sku": "quill", "qty": 1}, {"sku": "ink", "qty": 52}]
    assert lost(pair, carts) == [("items.(0).sku", "biro"), ("items.(1).note", "red")]


def test_an_edit_of_what_is_taken_away_is_in_the_ledger(pair, carts):
    oslo, paris = carts
    with pair.apart("oslo", "paris"):
        oslo.update_one({"_id": 1}, {"$set": {"items.1.note": "red"}, "$inc": {"items.1.qty": 4}})
        paris.update_one({"_id": 1}, {"$pull": {"items": {"sku": "ink"}}})
    assert [item["sku"] for item in pair.alike(carts)[0]["items"]] == ["pen", "paper"]
    # Who had it has the whole element, and can have it back.
    edited = {"sku": "ink", "qty": 6, "note": "red"}
    assert lost_at(pair.oslo, carts) == [("items", edited)]
    assert lost_at(pair.paris, carts) == [("items.(1).note", "red"), ("items.(1).qty", 4)]
    name = pair.oslo.app().outrigger.conflicts.find_one({"namespace": oslo.full_name})["_id"]
    pair.oslo.app().outrigger.command({"choose": name})
    assert pair.alike(carts)[0]["items"][-1] == edited


def test_in_a_transaction(pair, carts):
    if not pair.oslo.mongod.replica_set:
        pytest.skip("transactions are a replica set's")
    app = pair.oslo.app()
    mine = app.shop[carts[0].name]

    def work(session):
        for _ in range(2):
            mine.update_one({"_id": 1, "items.sku": "ink"}, {"$inc": {"items.$.qty": 5}},
                            session=session)
        mine.update_one({"_id": 1}, {"$set": {"items.2.note": "A4"}}, session=session)

    with pair.apart("oslo", "paris"):
        with app.start_session() as session:
            session.with_transaction(work)
        carts[1].update_one({"_id": 1}, {"$inc": {"items.$[].qty": 1}})
    assert pair.alike(carts)[0]["items"] == [
        {"sku": "pen", "qty": 2}, {"sku": "ink", "qty": 13},
        {"sku": "paper", "qty": 4, "size": {"w": 210}, "note": "A4"}]


def test_what_is_forgotten_goes_on_adding_up(pair, carts):
    for round_ in range(2):
        with pair.apart("oslo", "paris"):
            for collection in carts:
                collection.update_one({"_id": 1}, {"$push": {"items": {"sku": "cup", "qty": 0}}})
                collection.update_one({"_id": 1}, {"$inc": {"items.1.qty": 1}})
        document = pair.alike(carts)[0]
        assert document["items"][1] == {"sku": "ink", "qty": 4 + 2 * round_}
        pair.wait_quiet()


@pytest.mark.parametrize("replica_set", [True, False], ids=FORMS)
def test_increments_in_elements_outlive_a_killed_mongod(make_cluster, replica_set):
    sites = make_cluster(replica_set=replica_set).start()

    def kill_mongod(site):
        site.mongod.kill()
        site.mongod.start()
        site.wait_served()

    sites.collections("carts")[0].insert_one({"_id": 1, "items": [{"qty": 0}, {"qty": 0}]})
    sites.wait_converged(["shop"])
    for _ in range(2):
        carts = [site.client().shop.carts for site in sites]
        with sites.apart("oslo", "paris"):
            for cart in carts:
                for _ in range(10):
                    cart.update_one({"_id": 1}, {"$inc": {"items.1.qty": 1}})
                cart.update_one({"_id": 1}, {"$push": {"items": {"qty": 0}}})
            kill_mongod(sites.oslo)
        kill_mongod(sites.paris)
        sites.wait_converged(["shop"])
    items = sites.alike([site.client().shop.carts for site in sites])[0]["items"]
    assert [item["qty"] for item in items] == [0, 40, 0, 0, 0, 0]
