"""Who holds a unique key keeps it while another document is parked for it, whatever the app does
to it again; and it gives the key away when it changes it."""

import pytest
from pymongo import ReplaceOne, UpdateOne

from test_unique_owners import pair, parked, settled, shown, unique, users  # noqa: F401
from waiting import wait_until


def mail_clash(pair, users):
    unique(pair, users, "mail")
    with pair.apart("oslo", "paris"):
        users[0].insert_one({"_id": 1, "mail": "ada@example.net", "n": 0})
        users[1].insert_one({"_id": 2, "mail": "ada@example.net", "n": 2})
    settled(pair, users, [1], [2])


OWNER = {"_id": 1, "mail": "ada@example.net"}
SAVES = {
    "replace_one": lambda users: users.replace_one({"_id": 1}, {**OWNER, "n": 7}),
    "replace_by_mail": lambda users: users.replace_one({"mail": OWNER["mail"]}, {**OWNER, "n": 7}),
    "upsert": lambda users: users.replace_one({"_id": 1}, {**OWNER, "n": 7}, upsert=True),
    "find_one_and_replace": lambda users: users.find_one_and_replace({"_id": 1}, {**OWNER, "n": 7}),
    "returned_after": lambda users: users.find_one_and_replace(
        {"_id": 1}, {**OWNER, "n": 7}, return_document=True),
    "find_one_and_update": lambda users: users.find_one_and_update(
        {"_id": 1}, {"$set": {"mail": OWNER["mail"], "n": 7}}, projection={"n": 1}),
    "set": lambda users: users.update_one({"_id": 1}, {"$set": {"mail": OWNER["mail"], "n": 7}}),
    "set_alone": lambda users: (users.update_one({"_id": 1}, {"$set": {"mail": OWNER["mail"]}}),
                                users.update_one({"_id": 1}, {"$set": {"n": 7}})),
    "many": lambda users: users.update_many({}, {"$set": {"mail": OWNER["mail"], "n": 7}}),
    "elsewhere": lambda users: users.update_one({"_id": 1}, {"$inc": {"n": 7}}),
    "pipeline": lambda users: users.update_one(
        {"_id": 1}, [{"$set": {"n": 7, "mail": {"$toLower": "$mail"}}}]),
    "max": lambda users: users.update_one({"_id": 1}, {"$max": {"n": 7, "mail": "a"}}),
    "bulk": lambda users: users.bulk_write(
        [UpdateOne({"_id": 1}, {"$set": {"mail": OWNER["mail"]}}),
         ReplaceOne({"_id": 1}, {**OWNER, "n": 7})]),
}


@pytest.mark.parametrize("save", SAVES)
def test_an_owner_that_is_saved_again_keeps_its_key(pair, users, save):
    mail_clash(pair, users)
    for each in users:
        SAVES[save](each)
        pair.wait_converged(["shop"])
        settled(pair, users, [1], [2])
    assert users[0].find_one({"_id": 1})["n"] in (7, 14)
    # What was not told would be known by now.
    users[1].update_one({"_id": 1}, {"$set": {"mail": "other"}})
    settled(pair, users, [1, 2], [])


def test_in_a_transaction_all_of_it_counts(pair, users):
    if not pair.oslo.mongod.replica_set:
        pytest.skip("a standalone has none")
    mail_clash(pair, users)
    client = pair.oslo.app()
    with client.start_session() as session, session.start_transaction():
        users[0].replace_one({"_id": 1}, {**OWNER, "n": 5}, session=session)
        users[0].update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        users[0].update_one({"_id": 1}, {"$set": {"mail": OWNER["mail"]}}, session=session)
    settled(pair, users, [1], [2])
    with client.start_session() as session, session.start_transaction():
        users[0].update_one({"_id": 1}, {"$set": {"mail": "x"}}, session=session)
        users[0].replace_one({"_id": 1}, {**OWNER, "n": 8}, session=session)
    settled(pair, users, [2], [1])  # it may have changed it, and is the later one now


def test_edits_of_elements_beside_the_key(pair, users):
    unique(pair, users, "items.sku")
    with pair.apart("oslo", "paris"):
        users[0].insert_one({"_id": 1, "items": [{"sku": 1, "qty": 0}, {"sku": 2, "qty": 0}]})
        users[1].insert_one({"_id": 2, "items": [{"sku": 2, "qty": 5}]})
    settled(pair, users, [1], [2])
    users[0].update_one({"_id": 1, "items.sku": 2}, {"$inc": {"items.$.qty": 1}})
    users[1].update_one({"_id": 1}, {"$set": {"items.0.qty": 9}})
    users[1].update_one({"_id": 1}, {"$inc": {"items.$[].qty": 1}})
    settled(pair, users, [1], [2])
    pair.wait_converged(["shop"])
    assert [each["qty"] for each in users[0].find_one({"_id": 1})["items"]] == [10, 2]
    users[0].update_one({"_id": 1}, {"$pull": {"items": {"sku": 2}}})
    settled(pair, users, [1, 2], [])


def test_an_index_that_is_dropped_parks_nobody(pair, users):
    mail_clash(pair, users)
    users[0].replace_one({"_id": 1}, {**OWNER, "n": 3})
    pair.wait_converged(["shop"])
    users[0].drop_index("k")
    wait_until(lambda: all(set(shown(each)) == {1, 2} for each in users),
               lambda: [shown(each) for each in users], 90)
    pair.wait_converged(["shop"])
    assert all(not parked(site, each) for site, each in zip(pair, users))
    assert shown(users[0]) == shown(users[1])


@pytest.mark.parametrize("first", ["two", "null"])
def test_an_element_without_the_name_has_a_key_too(pair, users, first):
    unique(pair, users, "items.sku")
    kinds = {"two": [{"sku": 1}, {"qty": 2}], "null": [{"qty": 9}]}
    second = "null" if first == "two" else "two"
    with pair.apart("oslo", "paris"):
        users[0].insert_one({"_id": first, "items": kinds[first]})
        users[1].insert_one({"_id": second, "items": kinds[second]})
    settled(pair, users, [first], [second])
    users[1].delete_one({"_id": first})
    settled(pair, users, [second], [])
