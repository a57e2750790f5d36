// The same as pymongo_sync.py, with the Go driver v2.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

var ctx = context.Background()

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func check(err error) { must(0, err) }

func number(things *mongo.Collection) int32 {
	var found struct{ N int32 }
	check(things.FindOne(ctx, bson.M{"_id": 1}).Decode(&found))
	return found.N
}

func transact(client *mongo.Client, things, orders *mongo.Collection) {
	session := must(client.StartSession())
	defer session.EndSession(ctx)
	must(session.WithTransaction(ctx, func(ctx context.Context) (any, error) {
		if _, err := orders.InsertOne(ctx, bson.M{"_id": 1, "total": 5}); err != nil {
			return nil, err
		}
		return things.UpdateOne(ctx, bson.M{"_id": 1}, bson.M{"$inc": bson.M{"n": -5}})
	}))
	check(session.StartTransaction())
	check(mongo.WithSession(ctx, session, func(ctx context.Context) error {
		must(orders.InsertOne(ctx, bson.M{"_id": 2}))
		return session.AbortTransaction(ctx)
	}))
}

func watch(things *mongo.Collection) (events []string) {
	stream := must(things.Watch(ctx, mongo.Pipeline{}))
	defer stream.Close(ctx)
	must(things.InsertOne(ctx, bson.M{"_id": 6}))
	must(things.UpdateOne(ctx, bson.M{"_id": 6}, bson.M{"$set": bson.M{"seen": true}}))
	must(things.DeleteOne(ctx, bson.M{"_id": 6}))
	for len(events) < 3 && stream.Next(ctx) {
		events = append(events, stream.Current.Lookup("operationType").StringValue())
	}
	return events
}

func work(client *mongo.Client, db *mongo.Database) map[string]any {
	things, orders, out := db.Collection("things"), db.Collection("orders"), map[string]any{}
	must(things.InsertOne(ctx, bson.M{"_id": 1, "n": 0, "tags": bson.A{"a"}}))
	var many []any
	for i := range 500 {
		many = append(many, bson.M{"_id": 100 + i, "n": i})
	}
	out["many"] = len(must(things.InsertMany(ctx, many)).InsertedIDs)
	updated := must(things.UpdateOne(ctx, bson.M{"_id": 1},
		bson.M{"$inc": bson.M{"n": 5}, "$push": bson.M{"tags": "b"}}))
	out["update"] = []int64{updated.MatchedCount, updated.ModifiedCount}
	out["update_many"] = must(things.UpdateMany(ctx, bson.M{"n": bson.M{"$gte": 490}},
		bson.M{"$set": bson.M{"high": true}})).ModifiedCount
	var after struct{ N int32 }
	check(things.FindOneAndUpdate(ctx, bson.M{"_id": 1}, bson.M{"$inc": bson.M{"n": 1}},
		options.FindOneAndUpdate().SetReturnDocument(options.After)).Decode(&after))
	out["find_and_modify"] = after.N
	out["replace"] = must(things.ReplaceOne(ctx, bson.M{"_id": 100}, bson.M{"n": -1})).ModifiedCount
	out["delete"] = must(things.DeleteMany(ctx, bson.M{"n": bson.M{"$gte": 1, "$lt": 5}})).DeletedCount
	bulk := must(things.BulkWrite(ctx, []mongo.WriteModel{
		mongo.NewInsertOneModel().SetDocument(bson.M{"_id": 2}),
		mongo.NewUpdateOneModel().SetFilter(bson.M{"_id": 2}).SetUpdate(bson.M{"$set": bson.M{"x": 1}}),
		mongo.NewDeleteOneModel().SetFilter(bson.M{"_id": 2}),
		mongo.NewUpdateOneModel().SetFilter(bson.M{"_id": 3}).
			SetUpdate(bson.M{"$set": bson.M{"y": 1}}).SetUpsert(true),
	}))
	out["bulk"] = []int64{
		bulk.InsertedCount, bulk.ModifiedCount, bulk.DeletedCount, bulk.UpsertedCount}
	must(things.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: bson.M{"code": 1},
		Options: options.Index().SetUnique(true).SetSparse(true)}))
	must(things.InsertOne(ctx, bson.M{"_id": 4, "code": "x"}))
	_, err := things.InsertOne(ctx, bson.M{"_id": 5, "code": "x"})
	var refused mongo.WriteException
	if errors.As(err, &refused) {
		out["duplicate"] = refused.WriteErrors[0].Code
	}
	must(orders.InsertOne(ctx, bson.M{"_id": 0}))
	transact(client, things, orders)
	out["transaction"] = []int64{int64(number(things)), must(orders.CountDocuments(ctx, bson.M{}))}
	out["events"] = watch(things)
	files := db.GridFSBucket()
	must(files.UploadFromStream(ctx, "file", bytes.NewReader(make([]byte, 600000))))
	out["file"] = len(must(io.ReadAll(must(files.OpenDownloadStreamByName(ctx, "file")))))
	out["left"] = must(things.CountDocuments(ctx, bson.M{}))
	var grouped []struct{ Sum int64 }
	check(must(things.Aggregate(ctx, mongo.Pipeline{{{Key: "$group", Value: bson.M{
		"_id": nil, "sum": bson.M{"$sum": "$n"}}}}})).All(ctx, &grouped))
	out["sum"] = grouped[0].Sum
	return out
}

func count(db *mongo.Database) map[string]any {
	acknowledged, failed := 0, 0
	for range 400 {
		_, err := db.Collection("counters").UpdateOne(ctx, bson.M{"_id": "all"},
			bson.M{"$inc": bson.M{"n": 1}}, options.UpdateOne().SetUpsert(true))
		if err == nil {
			acknowledged++
		} else {
			failed++
		}
	}
	return map[string]any{"acknowledged": acknowledged, "failed": failed}
}

func main() {
	client := must(mongo.Connect(options.Client().ApplyURI(os.Args[1])))
	defer client.Disconnect(ctx)
	db := client.Database(os.Args[2])
	out := map[string]any{}
	if os.Args[3] == "work" {
		out = work(client, db)
	} else {
		out = count(db)
	}
	fmt.Println(string(must(json.Marshal(out))))
}
