"""The same comparison as an app sees it: PyMongo, one thread, default settings."""

import random
import statistics
import time

import pymongo

from machine import HERE, Void, on

COLLECTION = "driver"
ARMS = ("direct", "outrigger")


def find_one(documents, number):
    return documents.find_one({"_id": number})["_id"] == number


def update_one(documents, number):
    change = {"$set": {"value": random.random()}}
    return documents.update_one({"_id": number}, change).modified_count == 1


def insert_one(documents, number):
    return documents.insert_one({"value": number}).acknowledged


OPERATIONS = {"find_one": find_one, "update_one": update_one, "insert_one": insert_one}


def rate(documents, operation, seconds):
    done = 0
    started = time.perf_counter()
    while (took := time.perf_counter() - started) < seconds:
        if not operation(documents, done % 100):
            raise Void(f"{operation.__name__} through PyMongo did nothing")
        done += 1
    return done / took


def run(arms, blocks, seconds):
    """Lines of markdown."""
    documents = {}
    for name in ARMS:
        arm = arms.all[name]
        client = pymongo.MongoClient(arm.mongod.uri().replace(arm.mongod.address, arm.address))
        documents[name] = client["bench"][f"{COLLECTION}_{name}"]
        for number in range(100):
            documents[name].insert_one({"_id": number, "value": 0.0})
    seen = {(operation, name): [] for operation in OPERATIONS for name in ARMS}
    for block in range(blocks):
        for operation, function in OPERATIONS.items():
            for name in ARMS if block % 2 == 0 else reversed(ARMS):
                with on(HERE):
                    seen[operation, name].append(rate(documents[name], function, seconds))
                arms.all[name].settle()
    parts = []
    for operation in OPERATIONS:
        direct, outrigger = (seen[operation, name] for name in ARMS)
        ratios = [o / d for o, d in zip(outrigger, direct)]
        parts.append(f"{operation} {statistics.median(ratios):.2f} ({min(ratios):.2f}-"
                     f"{max(ratios):.2f}) of {statistics.median(direct):,.0f}/s")
    for name in ARMS:
        documents[name].database.client.close()
    return ["", "PyMongo, one thread, its defaults (majority, retryable writes), outrigger / "
            "direct: " + "; ".join(parts) + "."]
