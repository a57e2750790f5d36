// The same as pymongo_sync.py, with the synchronous Java driver.
import com.mongodb.MongoException;
import com.mongodb.MongoWriteException;
import com.mongodb.client.ClientSession;
import com.mongodb.client.MongoChangeStreamCursor;
import com.mongodb.client.MongoClient;
import com.mongodb.client.MongoClients;
import com.mongodb.client.MongoCollection;
import com.mongodb.client.MongoDatabase;
import com.mongodb.client.gridfs.GridFSBucket;
import com.mongodb.client.gridfs.GridFSBuckets;
import com.mongodb.client.model.Accumulators;
import com.mongodb.client.model.Aggregates;
import com.mongodb.client.model.DeleteOneModel;
import com.mongodb.client.model.Filters;
import com.mongodb.client.model.FindOneAndUpdateOptions;
import com.mongodb.client.model.IndexOptions;
import com.mongodb.client.model.InsertOneModel;
import com.mongodb.client.model.ReturnDocument;
import com.mongodb.client.model.UpdateOneModel;
import com.mongodb.client.model.UpdateOptions;
import com.mongodb.client.model.Updates;
import com.mongodb.client.model.changestream.ChangeStreamDocument;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.List;
import org.bson.Document;
import org.bson.conversions.Bson;

public class Driver {
  private static Bson id(int value) {
    return Filters.eq("_id", value);
  }

  private static Document made(int value) {
    return new Document("_id", value);
  }

  private static List<String> watched(MongoCollection<Document> things) {
    List<String> events = new ArrayList<>();
    try (MongoChangeStreamCursor<ChangeStreamDocument<Document>> stream = things.watch().cursor()) {
      things.insertOne(made(6));
      things.updateOne(id(6), Updates.set("seen", true));
      things.deleteOne(id(6));
      while (events.size() < 3) events.add(stream.next().getOperationType().getValue());
    }
    return events;
  }

  private static int filed(MongoDatabase db) {
    GridFSBucket files = GridFSBuckets.create(db);
    files.uploadFromStream("file", new ByteArrayInputStream(new byte[600000]));
    ByteArrayOutputStream back = new ByteArrayOutputStream();
    files.downloadToStream("file", back);
    return back.size();
  }

  private static Document work(MongoClient client, MongoDatabase db) {
    MongoCollection<Document> things = db.getCollection("things");
    MongoCollection<Document> orders = db.getCollection("orders");
    Document out = new Document();
    things.insertOne(made(1).append("n", 0).append("tags", List.of("a")));
    List<Document> many = new ArrayList<>();
    for (int i = 0; i < 500; ++i) many.add(made(100 + i).append("n", i));
    out.append("many", things.insertMany(many).getInsertedIds().size());
    var updated = things.updateOne(
        id(1), Updates.combine(Updates.inc("n", 5), Updates.push("tags", "b")));
    out.append("update", List.of(updated.getMatchedCount(), updated.getModifiedCount()));
    out.append("update_many",
        things.updateMany(Filters.gte("n", 490), Updates.set("high", true)).getModifiedCount());
    out.append("find_and_modify", things.findOneAndUpdate(id(1), Updates.inc("n", 1),
        new FindOneAndUpdateOptions().returnDocument(ReturnDocument.AFTER)).getInteger("n"));
    out.append("replace", things.replaceOne(id(100), new Document("n", -1)).getModifiedCount());
    out.append("delete",
        things.deleteMany(Filters.and(Filters.gte("n", 1), Filters.lt("n", 5))).getDeletedCount());
    var bulk = things.bulkWrite(List.of(
        new InsertOneModel<>(made(2)),
        new UpdateOneModel<>(id(2), Updates.set("x", 1)),
        new DeleteOneModel<>(id(2)),
        new UpdateOneModel<>(id(3), Updates.set("y", 1), new UpdateOptions().upsert(true))));
    out.append("bulk", List.of(bulk.getInsertedCount(), bulk.getModifiedCount(),
        bulk.getDeletedCount(), bulk.getUpserts().size()));
    things.createIndex(new Document("code", 1), new IndexOptions().unique(true).sparse(true));
    things.insertOne(made(4).append("code", "x"));
    try {
      things.insertOne(made(5).append("code", "x"));
    } catch (MongoWriteException refused) {
      out.append("duplicate", refused.getCode());
    }
    orders.insertOne(made(0));
    try (ClientSession session = client.startSession()) {
      session.withTransaction(() -> {
        orders.insertOne(session, made(1).append("total", 5));
        return things.updateOne(session, id(1), Updates.inc("n", -5));
      });
      session.startTransaction();
      orders.insertOne(session, made(2));
      session.abortTransaction();
    }
    out.append("transaction",
        List.of(things.find(id(1)).first().getInteger("n"), orders.countDocuments()));
    out.append("events", watched(things));
    out.append("file", filed(db));
    out.append("left", things.countDocuments());
    List<Bson> sum = List.of(Aggregates.group(null, Accumulators.sum("sum", "$n")));
    out.append("sum", things.aggregate(sum).first().getInteger("sum"));
    return out;
  }

  private static Document count(MongoDatabase db) {
    int acknowledged = 0;
    int failed = 0;
    for (int i = 0; i < 400; ++i) {
      try {
        db.getCollection("counters").updateOne(
            Filters.eq("_id", "all"), Updates.inc("n", 1), new UpdateOptions().upsert(true));
        ++acknowledged;
      } catch (MongoException error) {
        ++failed;
      }
    }
    return new Document("acknowledged", acknowledged).append("failed", failed);
  }

  public static void main(String[] arguments) {
    try (MongoClient client = MongoClients.create(arguments[0])) {
      MongoDatabase db = client.getDatabase(arguments[1]);
      System.out.println((arguments[2].equals("work") ? work(client, db) : count(db)).toJson());
    }
  }
}
