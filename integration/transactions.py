"""Transactions by hand: each statement over whichever connection the test says."""

import uuid

import bson
from bson import Binary, Int64
from pymongo.errors import PyMongoError


class RawTransaction:
    """Statements of one transaction, each over whichever connection the test says."""

    def __init__(self, number=1, lsid=None):
        self.lsid = lsid or {"id": Binary(uuid.uuid4().bytes, 4)}
        self.number = number
        self._is_begun = False

    def send(self, client, command, database="shop"):
        fields = {"lsid": self.lsid, "txnNumber": Int64(self.number), "autocommit": False}
        if not self._is_begun:
            fields["startTransaction"] = True
        self._is_begun = True
        reply = client.command({**command, **fields, "$db": database})
        if reply is None:
            raise ConnectionResetError("no answer")
        return bson.decode(reply)

    def insert(self, client, collection, *documents):
        return self.send(client, {"insert": collection, "documents": list(documents)})

    def update(self, client, collection, query, update, **options):
        return self.send(client, {"update": collection,
                                  "updates": [{"q": query, "u": update, **options}]})

    def commit(self, client, **concern):
        return self.send(client, {"commitTransaction": 1, **concern}, "admin")

    def abort(self, client):
        return self.send(client, {"abortTransaction": 1}, "admin")


def everything(site, *collections):
    return [list(site.direct().shop[name].find(sort=[("_id", 1)])) for name in collections]


def transfer(app, chance, accounts, is_over):
    """Money goes from one account to another, until then, in transactions that are retried as
    drivers do it; how often. An error that a driver gives up at leaves what was done whole."""
    table = app.bank.accounts
    done = 0
    while not is_over():
        one, other = chance.sample(range(accounts), 2)
        amount = chance.randint(1, 9)

        def move(session, one=one, other=other, amount=amount):
            table.update_one({"_id": one}, {"$inc": {"n": -amount}}, session=session)
            table.update_one({"_id": other}, {"$inc": {"n": amount}}, session=session)

        try:
            with app.start_session() as session:
                session.with_transaction(move)
            done += 1
        except PyMongoError:
            continue
    return done
