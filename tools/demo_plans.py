"""The part of the demo's story that people decide: a tour that both sites plan, a basket that both
fill, while they do not know of each other."""

import subprocess

# The later date stands; until somebody decides which was meant, the other one is an open matter.
RULES = [{"namespace": "guide.tours", "fields": {"starts": {"type": "lww", "escalate": True}}}]

TOUR = {"_id": "fjords", "title": "Fjords", "starts": "Monday", "people": ["Ada"]}
BASKET = {"_id": "of Ada", "items": [{"sku": "map", "quantity": 1}, {"sku": "tent", "quantity": 2}]}
PEOPLE = ["Ada", "Bob", "Cid"]
CHOSEN = [("title", "Fjords by boat", "the title is 'Fjords by boat' again"),
          ("starts", "Tuesday", "the tour starts on Tuesday")]
ITEMS = {"tent": 6, "lamp": 1, "rope": 4}


def begin(oslo):
    oslo.client.guide.tours.insert_one(TOUR)
    oslo.client.guide.baskets.insert_one(BASKET)


def clash(oslo, paris):
    oslo.join("fjords", "Bob")
    oslo.plan("fjords", starts="Tuesday", title="Fjords by boat")
    paris.join("fjords", "Cid")
    paris.plan("fjords", starts="Thursday", title="Fjords on foot")
    oslo.order("of Ada", "lamp", 1)
    oslo.more_of("of Ada", "tent", 3)
    paris.order("of Ada", "rope", 4)
    paris.more_of("of Ada", "tent", 1)
    paris.not_wanted("of Ada", "map")


def rows(guide):
    """What a person sees of them."""
    tour, basket = guide.tour("fjords"), guide.basket("of Ada")
    items = ", ".join(f"{item['quantity']} {item['sku']}" for item in basket["items"])
    return [("the tour", f"{tour['title']}, {tour['starts']}, with {', '.join(tour['people'])}"),
            ("the basket", items)]


def told(guide, check):
    tour, basket = guide.tour("fjords"), guide.basket("of Ada")
    check(tour["people"] == PEOPLE, f"everybody who joined is there: {tour}")
    check((tour["title"], tour["starts"]) == ("Fjords on foot", "Thursday"),
          f"the later title and day stand: {tour}")
    check({item["sku"]: item["quantity"] for item in basket["items"]} == ITEMS,
          f"the basket holds what both meant: {basket}")


def open_matters(guide):
    return list(guide.client.outrigger.conflicts.find({"state": "open"}))


def choose(guide, path, control, admin_address):
    """A person prefers what lost of a tour: the command that was given for it."""
    [entry] = guide.client.outrigger.conflicts.find({"namespace": "guide.tours", "path": path})
    command = [control, "--admin", admin_address, "conflicts", "choose", entry["_id"]]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return f"outriggerctl conflicts choose {entry['_id']}"
