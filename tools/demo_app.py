"""A small city guide on MongoDB: an ordinary PyMongo program, as it would be without Outrigger.

All it is given is a connection string. By hand:
    demo_app.py CONNECTION_STRING show|visit|describe|close|count [PLACE] [TEXT]
"""

import argparse
import hashlib

import pymongo
from bson import json_util


def place_from(city, number=1):
    """The document of one entry of the public list; number: which of its name in its country."""
    suffix = "" if number == 1 else f" {number}"
    return {
        "_id": f"{city['country']} {city['name']}{suffix}",
        "name": city["name"],
        "country": city["country"],
        "region": city["admin1"],
        "position": {"lat": float(city["lat"]), "lng": float(city["lng"])},
        "visits": 0,
    }


class CityGuide:
    def __init__(self, connection_string):
        self.client = pymongo.MongoClient(connection_string, serverSelectionTimeoutMS=15000)
        self.places = self.client.guide.places

    def add(self, places):
        return len(self.places.insert_many(places).inserted_ids)

    def visit(self, place):
        self.places.update_one({"_id": place}, {"$inc": {"visits": 1}})

    def describe(self, place, **facts):
        self.places.update_one({"_id": place}, {"$set": facts})

    def describe_region(self, country, region, **facts):
        found = self.places.update_many({"country": country, "region": region}, {"$set": facts})
        return found.matched_count

    def close(self, place):
        self.places.delete_one({"_id": place})

    def show(self, place):
        return self.places.find_one({"_id": place})

    def count(self):
        return self.places.count_documents({})

    def visits(self):
        total = self.places.aggregate([{"$group": {"_id": None, "visits": {"$sum": "$visits"}}}])
        return next(total)["visits"]

    def tour(self, name):
        return self.client.guide.tours.find_one({"_id": name})

    def join(self, tour, person):
        self.client.guide.tours.update_one({"_id": tour}, {"$push": {"people": person}})

    def plan(self, tour, **facts):
        self.client.guide.tours.update_one({"_id": tour}, {"$set": facts})

    def basket(self, name):
        return self.client.guide.baskets.find_one({"_id": name})

    def order(self, basket, sku, quantity):
        item = {"sku": sku, "quantity": quantity}
        self.client.guide.baskets.update_one({"_id": basket}, {"$push": {"items": item}})

    def more_of(self, basket, sku, quantity):
        self.client.guide.baskets.update_one({"_id": basket, "items.sku": sku},
                                             {"$inc": {"items.$.quantity": quantity}})

    def not_wanted(self, basket, sku):
        self.client.guide.baskets.update_one({"_id": basket}, {"$pull": {"items": {"sku": sku}}})

    def fingerprint(self):
        """SHA-256 over all documents, types included; the order of their fields does not count."""
        digest = hashlib.sha256()
        for document in self.places.find().sort("_id"):
            text = json_util.dumps(document, json_options=json_util.CANONICAL_JSON_OPTIONS,
                                   sort_keys=True, ensure_ascii=False)
            digest.update(text.encode() + b"\n")
        return digest.hexdigest()


def main():
    parser = argparse.ArgumentParser(description="a small city guide on MongoDB")
    parser.add_argument("connection_string")
    parser.add_argument("action", choices=["show", "visit", "describe", "close", "count"])
    parser.add_argument("place", nargs="?", default="FR Paris")
    parser.add_argument("text", nargs="?", default="worth a visit")
    arguments = parser.parse_args()
    guide = CityGuide(arguments.connection_string)
    if arguments.action == "count":
        return print(guide.count(), "places,", guide.visits(), "visits")
    if arguments.action == "visit":
        guide.visit(arguments.place)
    elif arguments.action == "describe":
        guide.describe(arguments.place, note=arguments.text)
    elif arguments.action == "close":
        guide.close(arguments.place)
    print(guide.show(arguments.place))


if __name__ == "__main__":
    main()
