"""A blog with MongoEngine: inheritance, references, embedded lists, counters, files in GridFS."""
import json
import sys

import mongoengine as me


class Author(me.Document):
    name = me.StringField(required=True, unique=True)
    followers = me.ListField(me.ReferenceField("self"))


class Comment(me.EmbeddedDocument):
    by = me.ReferenceField(Author)
    text = me.StringField()
    likes = me.IntField(default=0)


class Post(me.Document):
    title = me.StringField(required=True)
    author = me.ReferenceField(Author, reverse_delete_rule=me.CASCADE)
    tags = me.SortedListField(me.StringField())
    comments = me.EmbeddedDocumentListField(Comment)
    reads = me.IntField(default=0)
    number = me.SequenceField()
    picture = me.FileField()
    meta = {"allow_inheritance": True, "indexes": ["tags", ("author", "-number")]}


class Story(Post):
    body = me.StringField()


def work():
    ada, bob = (Author(name=name).save() for name in ("ada", "bob"))
    try:
        Author(name="ada").save()
        twice = None
    except me.NotUniqueError as error:
        twice = type(error).__name__
    ada.followers.append(bob)
    ada.save()
    posts = [Story(title=f"story {n}", author=ada, tags=["b", "a"], body="...").save()
             for n in range(5)]
    posts[0].comments.create(by=bob, text="first")
    posts[0].comments.create(by=ada, text="thanks")
    posts[0].save()
    posts[0].comments.filter(text="first").update(likes=3)
    posts[0].comments.save()
    Post.objects(id=posts[1].id).update_one(inc__reads=2, push__tags="c", set__title="new")
    Post.objects(title__startswith="story", number__gt=3).update(add_to_set__tags="late")
    posts[2].picture.put(b"pixels" * 100000, content_type="image/png")
    posts[2].save()
    posts[3].modify(inc__reads=1, pull__tags="a")
    Post.objects(title="nothing").upsert_one(
        set__reads=7, set__number=99, set_on_insert__tags=["made"])
    Story(title="bob's", author=bob).save()
    bob.delete()  # and what he wrote
    return {"told": {"twice": twice}}


def look():
    return {
        "posts": [[post.title, post.author and post.author.name, post.tags, post.reads,
                   [[c.text, c.likes] for c in post.comments], post.number]
                  for post in Post.objects.order_by("number")],
        "picture": len(Story.objects.get(title="story 2").picture.read()),
        "indexes": sorted(Post._get_collection().index_information()),
        "authors": [author.name for author in Author.objects],
    }


uri, database, what = sys.argv[1:4]
me.connect(database, host=uri, uuidRepresentation="standard")
print(json.dumps(work() if what == "work" else look()))
