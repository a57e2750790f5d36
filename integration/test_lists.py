"""Arrays whose elements are edited at two sites that do not hear of each other."""

import pytest


@pytest.fixture
def carts(pair, request):
    collections = pair.collections(request.node.name)
    collections[0].insert_one({"_id": 1, "tags": ["a", "b"], "items": [
        {"sku": "pen", "qty": 1}, {"sku": "ink", "qty": 2}, {"sku": "paper", "qty": 3}]})
    pair.wait_converged(["shop"])
    return collections


def test_pushes_at_both_sites_stand_in_one_order(pair, carts):
    with pair.apart("oslo", "paris"):
        for n in range(5):
            carts[0].update_one({"_id": 1}, {"$push": {"tags": f"oslo {n}"}})
            carts[1].update_one({"_id": 1}, {"$push": {"tags": {"$each": [f"paris {n}", "x"]}}})
        carts[0].update_one({"_id": 2}, {"$push": {"tags": "oslo"}}, upsert=True)
        carts[1].update_one({"_id": 2}, {"$push": {"tags": "paris"}}, upsert=True)
    document, made = pair.alike(carts)
    assert document["tags"] == ["a", "b"] + [
        tag for n in range(5) for tag in (f"oslo {n}", f"paris {n}", "x")]
    assert sorted(made["tags"]) == ["oslo", "paris"]


def test_a_push_and_a_pull_both_stand(pair, carts):
    with pair.apart("oslo", "paris"):
        carts[0].update_one({"_id": 1}, {"$push": {"tags": "c"}})
        carts[1].update_one({"_id": 1}, {"$pull": {"tags": "a"}})
        carts[1].update_one({"_id": 1}, {"$pop": {"tags": 1}})
        carts[1].update_one({"_id": 1}, {"$push": {"tags": "d"}})
    assert pair.alike(carts)[0]["tags"] == ["c", "d"]


def test_equal_additions_to_a_set_show_once(pair, carts):
    with pair.apart("oslo", "paris"):
        carts[0].update_one({"_id": 1}, {"$addToSet": {"tags": {"$each": ["b", "z"]}}})
        carts[1].update_one({"_id": 1}, {"$addToSet": {"tags": "z"}})
    assert pair.alike(carts)[0]["tags"] == ["a", "b", "z"]
    carts[1].update_one({"_id": 1}, {"$pullAll": {"tags": ["z", "a"]}})
    assert pair.alike(carts)[0]["tags"] == ["b"]


def test_a_push_survives_an_assignment_and_of_two_assignments_the_later_stands(pair, carts):
    with pair.apart("oslo", "paris"):
        carts[1].update_one({"_id": 1}, {"$push": {"tags": "kept"}})
        carts[1].update_one({"_id": 1}, {"$set": {"items": []}})
        carts[0].update_one({"_id": 1}, {"$set": {"tags": ["n"], "items": [{"sku": "cup"}]}})
    document = pair.alike(carts)[0]
    assert document["tags"] == ["n", "kept"]
    assert document["items"] == [{"sku": "cup"}]


def test_an_edited_element_a_removed_one_and_a_new_one_all_stand(pair, carts):
    with pair.apart("oslo", "paris"):
        carts[0].update_one({"_id": 1, "items.sku": "ink"}, {"$inc": {"items.$.qty": 5}})
        carts[0].update_one({"_id": 1}, {"$set": {"items.$[i].seen": True}},
                            array_filters=[{"i.sku": "paper"}])
        carts[1].update_one({"_id": 1}, {"$pull": {"items": {"sku": "pen"}}})
        carts[1].update_one({"_id": 1}, {"$push": {"items": {"sku": "cup", "qty": 1}}})
    assert pair.alike(carts)[0]["items"] == [
        {"sku": "ink", "qty": 7}, {"sku": "paper", "qty": 3, "seen": True},
        {"sku": "cup", "qty": 1}]


def test_places_and_caps(pair, carts):
    with pair.apart("oslo", "paris"):
        carts[0].update_one({"_id": 1}, {"$push": {"tags": {"$each": ["0"], "$position": 0}}})
        carts[1].update_one({"_id": 1}, {"$push": {"tags": {"$each": ["m"], "$position": 1}}})
        carts[1].update_one({"_id": 1}, {"$push": {"items": {
            "$each": [{"sku": "cup", "qty": 0}], "$sort": {"qty": 1}, "$slice": 3}}})
        carts[0].update_one({"_id": 1}, {"$push": {"items": {"sku": "nib", "qty": 9}}})
    document = pair.alike(carts)[0]
    assert document["tags"] == ["0", "a", "m", "b"]
    assert [item["sku"] for item in document["items"]] == ["cup", "pen", "ink", "nib"]


def test_what_a_transaction_did_to_an_array_stands_beside_a_push(pair, carts):
    app = pair.oslo.app()
    mine = app.shop[carts[0].name]

    def work(session):
        mine.update_one({"_id": 1}, {"$push": {"tags": "c"}}, session=session)
        mine.update_one({"_id": 1}, {"$pull": {"tags": "a"}}, session=session)
        mine.update_one({"_id": 1}, {"$push": {"tags": {"$each": ["d", "e"]}}}, session=session)
        mine.update_one({"_id": 2}, {"$push": {"tags": "first"}}, upsert=True, session=session)
        mine.update_one({"_id": 2}, {"$push": {"tags": "second"}}, session=session)
        mine.update_one({"_id": 1, "items.sku": "ink"}, {"$set": {"items.$.qty": 9}},
                        session=session)

    with pair.apart("oslo", "paris"):
        with app.start_session() as session:
            session.with_transaction(work)
        carts[1].update_one({"_id": 1}, {"$push": {"tags": "paris"}})
        carts[1].update_one({"_id": 1}, {"$pull": {"items": {"sku": "pen"}}})
    document, made = pair.alike(carts)
    assert sorted(document["tags"]) == ["b", "c", "d", "e", "paris"]
    assert document["tags"].index("c") < document["tags"].index("d")
    assert document["items"] == [{"sku": "ink", "qty": 9}, {"sku": "paper", "qty": 3}]
    assert made["tags"] == ["first", "second"]


def test_a_name_of_digits_is_a_fields_where_no_array_is(pair, carts):
    for collection in carts:
        collection.update_one({"_id": 1}, {"$set": {"visits": {"2023": 1}}})
        pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        for collection, lists in zip(carts, ([1, 2], [3])):
            for year in ("2023", "2024"):
                collection.update_one({"_id": 1}, {"$inc": {f"visits.{year}": 10}})
            collection.update_one({"_id": 1}, {"$addToSet": {"seen.7": "x"}})
            collection.update_one({"_id": 1}, {"$push": {"log.7": lists[0]}})
            collection.update_one({"_id": 1}, {"$set": {"scores.2024": lists}})
            collection.update_one({"_id": 9}, {"$inc": {"days.31": 1}}, upsert=True)
    document, made = pair.alike(carts)
    assert document["visits"] == {"2023": 21, "2024": 20}
    assert document["seen"] == {"7": ["x"]}
    assert sorted(document["log"]["7"]) == [1, 3]
    assert document["scores"] == {"2024": [3]}
    assert made["days"] == {"31": 2}


def test_pushes_of_transactions_that_make_a_document_all_stand(pair, carts):
    def work(app, name):
        def push(session):
            for n in range(2):
                app.shop[carts[0].name].update_one(
                    {"_id": "day"}, {"$push": {"events": f"{name} {n}"}, "$inc": {"n": 1}},
                    upsert=True, session=session)
        return push

    with pair.apart("oslo", "paris"):
        for site in pair:
            with site.app().start_session() as session:
                session.with_transaction(work(site.app(), site.name))
    made = pair.alike(carts)[-1]
    assert made["n"] == 4
    assert sorted(made["events"]) == ["oslo 0", "oslo 1", "paris 0", "paris 1"]


def test_what_pipelines_add_and_take_away(pair, carts):
    with pair.apart("oslo", "paris"):
        carts[0].update_one({"_id": 1}, [{"$set": {"tags": {"$concatArrays": ["$tags", ["c"]]}}}])
        carts[1].update_one({"_id": 1}, [{"$set": {"tags": {"$slice": ["$tags", 1, 5]}}}])
    assert pair.alike(carts)[0]["tags"] == ["b", "c"]


def test_many_documents_of_one_statement(pair, request):
    collections = pair.collections(request.node.name)
    collections[0].insert_many([{"_id": n, "l": [0, n]} for n in range(300)])
    pair.wait_converged(["shop"])
    with pair.apart("oslo", "paris"):
        collections[0].update_many({}, {"$pull": {"l": 0}})
        collections[1].update_many({"_id": {"$lt": 200}}, {"$push": {"l": "p"}})
    assert pair.alike(collections) == [
        {"_id": n, "l": [n] if n and n >= 200 else [n, "p"] if n else ["p"]} for n in range(300)]


def test_names_last_when_all_else_is_forgotten(pair, carts):
    carts[0].update_one({"_id": 1}, {"$push": {"tags": "c"}})
    carts[1].update_one({"_id": 1}, {"$pull": {"tags": "a"}})
    pair.wait_converged(["shop"])
    pair.wait_quiet()
    with pair.apart("oslo", "paris"):
        carts[0].update_one({"_id": 1}, {"$pull": {"tags": "b"}})
        carts[1].update_one({"_id": 1}, {"$push": {"tags": "d"}})
    assert pair.alike(carts)[0]["tags"] == ["c", "d"]
