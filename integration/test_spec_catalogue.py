"""Collections and the handshake as the specifications of drivers have them."""

from spec_sides import different, on_both

ITS_OWN = {"me", "hosts", "primary", "connectionId", "localTime", "lastWrite", "topologyVersion",
           "electionId", "maxMessageSizeBytes", "maxWireVersion",
           "$clusterTime", "operationTime"}  # any other reply tells a driver the times


@on_both(commands=False)
def test_collections_are_made_with_their_options(side):
    db = side.db
    made = {"plain": {}, "capped": {"capped": True, "size": 4096, "max": 3},
            "clustered": {"clusteredIndex": {"key": {"_id": 1}, "unique": True, "name": "mine"}},
            "measured": {"timeseries": {"timeField": "t", "metaField": "m"}},
            "seen": {"changeStreamPreAndPostImages": {"enabled": True}},
            "shown": {"viewOn": "plain", "pipeline": [{"$match": {"n": 1}}]},
            "told": {"collation": {"locale": "en", "strength": 2}, "validator": {"n": 1}},
            "capped_wrong": {"capped": True}, "strange": {"strange": 1},
            "clustered_wrong": {"clusteredIndex": {"key": {"n": 1}, "unique": True}}}
    for name, options in made.items():
        yield lambda: db.command("create", name, **options)
    yield lambda: db.command("create", "plain")
    yield lambda: db.command("create", "plain", capped=True, size=4096)
    for name in ("seen", "shown", "nowhere", "clustered"):
        yield lambda: db.command("drop", name)
    yield lambda: db.command("collMod", "plain", changeStreamPreAndPostImages={"enabled": True})
    yield lambda: db.command("collMod", "nowhere", validator={})
    yield lambda: sorted(db.list_collection_names(filter={"name": {"$regex": "^c"}}))


def test_a_handshake_tells_what_mongodb_tells(spec_sides):
    told = []
    for uri in (spec_sides.bare.uri, spec_sides.proxied.uri):
        side = spec_sides.bare if uri == spec_sides.bare.uri else spec_sides.proxied
        side.begin("handshake")
        told.append(side.app.admin.command("hello"))
    assert told[1]["me"] == told[1]["hosts"][0] == told[1]["primary"]
    assert told[1]["me"] == spec_sides.cluster.oslo.sidecar.proxy_address
    assert set(told[0]) - ITS_OWN == set(told[1]) - ITS_OWN
    assert not different(*({name: each[name] for name in each if name not in ITS_OWN}
                           for each in told))
