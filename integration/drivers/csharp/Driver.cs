// The same as pymongo_sync.py, with the C# driver.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json;
using MongoDB.Bson;
using MongoDB.Driver;
using MongoDB.Driver.GridFS;

public static class Driver
{
    private static BsonDocument Made(int id) => new BsonDocument("_id", id);

    private static BsonDocument Made(int id, string name, BsonValue value) =>
        new BsonDocument { { "_id", id }, { name, value } };

    private static void Transact(IMongoClient client, IMongoCollection<BsonDocument> things,
                                 IMongoCollection<BsonDocument> orders)
    {
        using var session = client.StartSession();
        session.WithTransaction((inside, _) =>
        {
            orders.InsertOne(inside, Made(1, "total", 5));
            return things.UpdateOne(inside, "{_id: 1}", "{$inc: {n: -5}}").ModifiedCount;
        });
        session.StartTransaction();
        orders.InsertOne(session, Made(2));
        session.AbortTransaction();
    }

    private static List<string> Watched(IMongoCollection<BsonDocument> things)
    {
        var events = new List<string>();
        using var stream = things.Watch();
        things.InsertOne(Made(6));
        things.UpdateOne("{_id: 6}", "{$set: {seen: true}}");
        things.DeleteOne("{_id: 6}");
        while (events.Count < 3 && stream.MoveNext())
        {
            events.AddRange(
                stream.Current.Select(each => each.OperationType.ToString().ToLowerInvariant()));
        }
        return events;
    }

    private static int Filed(IMongoDatabase db)
    {
        var files = new GridFSBucket(db);
        files.UploadFromBytes("file", new byte[600000]);
        return files.DownloadAsBytesByName("file").Length;
    }

    private static Dictionary<string, object> Work(IMongoClient client, IMongoDatabase db)
    {
        var things = db.GetCollection<BsonDocument>("things");
        var orders = db.GetCollection<BsonDocument>("orders");
        var result = new Dictionary<string, object>();
        things.InsertOne(Made(1).Add("n", 0).Add("tags", new BsonArray { "a" }));
        things.InsertMany(Enumerable.Range(0, 500).Select(i => Made(100 + i, "n", i)));
        result["many"] = things.CountDocuments("{_id: {$gte: 100}}");
        var updated = things.UpdateOne("{_id: 1}", "{$inc: {n: 5}, $push: {tags: 'b'}}");
        result["update"] = new[] { updated.MatchedCount, updated.ModifiedCount };
        result["update_many"] =
            things.UpdateMany("{n: {$gte: 490}}", "{$set: {high: true}}").ModifiedCount;
        var after = new FindOneAndUpdateOptions<BsonDocument>
        {
            ReturnDocument = ReturnDocument.After
        };
        result["find_and_modify"] =
            things.FindOneAndUpdate("{_id: 1}", "{$inc: {n: 1}}", after)["n"].ToInt64();
        result["replace"] = things.ReplaceOne("{_id: 100}", new BsonDocument("n", -1)).ModifiedCount;
        result["delete"] = things.DeleteMany("{n: {$gte: 1, $lt: 5}}").DeletedCount;
        var bulk = things.BulkWrite(new WriteModel<BsonDocument>[]
        {
            new InsertOneModel<BsonDocument>(Made(2)),
            new UpdateOneModel<BsonDocument>("{_id: 2}", "{$set: {x: 1}}"),
            new DeleteOneModel<BsonDocument>("{_id: 2}"),
            new UpdateOneModel<BsonDocument>("{_id: 3}", "{$set: {y: 1}}") { IsUpsert = true }
        });
        result["bulk"] = new[]
        {
            bulk.InsertedCount, bulk.ModifiedCount, bulk.DeletedCount, bulk.Upserts.Count
        };
        things.Indexes.CreateOne(new CreateIndexModel<BsonDocument>(
            "{code: 1}", new CreateIndexOptions { Unique = true, Sparse = true }));
        things.InsertOne(Made(4, "code", "x"));
        try
        {
            things.InsertOne(Made(5, "code", "x"));
        }
        catch (MongoWriteException refused)
        {
            result["duplicate"] = refused.WriteError.Code;
        }
        orders.InsertOne(Made(0));
        Transact(client, things, orders);
        result["transaction"] = new[]
        {
            things.Find("{_id: 1}").First()["n"].ToInt64(), orders.CountDocuments("{}")
        };
        result["events"] = Watched(things);
        result["file"] = Filed(db);
        result["left"] = things.CountDocuments("{}");
        var sum = new[] { BsonDocument.Parse("{$group: {_id: null, sum: {$sum: '$n'}}}") };
        result["sum"] = things.Aggregate<BsonDocument>(sum).First()["sum"].ToInt64();
        return result;
    }

    private static Dictionary<string, object> Count(IMongoDatabase db)
    {
        var counters = db.GetCollection<BsonDocument>("counters");
        var acknowledged = 0;
        var failed = 0;
        for (var i = 0; i < 400; ++i)
        {
            try
            {
                counters.UpdateOne("{_id: 'all'}", "{$inc: {n: 1}}",
                                   new UpdateOptions { IsUpsert = true });
                ++acknowledged;
            }
            catch (Exception error) when (error is MongoException or TimeoutException)
            {
                ++failed;
            }
        }
        return new Dictionary<string, object>
        {
            ["acknowledged"] = acknowledged, ["failed"] = failed
        };
    }

    public static void Main(string[] arguments)
    {
        using var client = new MongoClient(arguments[0]);
        var db = client.GetDatabase(arguments[1]);
        Console.WriteLine(JsonSerializer.Serialize(
            arguments[2] == "work" ? Work(client, db) : Count(db)));
    }
}
