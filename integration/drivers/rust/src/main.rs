// The same as pymongo_sync.py, with the Rust driver.
use futures_util::io::{AsyncReadExt, AsyncWriteExt};
use futures_util::TryStreamExt;
use mongodb::bson::{doc, Document};
use mongodb::error::{ErrorKind, Result, WriteFailure};
use mongodb::options::{IndexOptions, ReturnDocument};
use mongodb::{Client, Collection, Database, IndexModel};
use serde_json::{json, Value};

async fn transact(client: &Client, things: &Collection<Document>,
                  orders: &Collection<Document>) -> Result<()> {
    let mut session = client.start_session().await?;
    session.start_transaction().await?;
    orders.insert_one(doc! {"_id": 1, "total": 5}).session(&mut session).await?;
    things.update_one(doc! {"_id": 1}, doc! {"$inc": {"n": -5}}).session(&mut session).await?;
    session.commit_transaction().await?;
    session.start_transaction().await?;
    orders.insert_one(doc! {"_id": 2}).session(&mut session).await?;
    session.abort_transaction().await
}

async fn watched(things: &Collection<Document>) -> Result<Vec<String>> {
    let mut stream = things.watch().await?;
    things.insert_one(doc! {"_id": 6}).await?;
    things.update_one(doc! {"_id": 6}, doc! {"$set": {"seen": true}}).await?;
    things.delete_one(doc! {"_id": 6}).await?;
    let mut events = Vec::new();
    while events.len() < 3 {
        if let Some(event) = stream.try_next().await? {
            events.push(format!("{:?}", event.operation_type).to_lowercase());
        }
    }
    Ok(events)
}

async fn filed(db: &Database) -> Result<usize> {
    let files = db.gridfs_bucket(None);
    let mut upload = files.open_upload_stream("file").await?;
    upload.write_all(&vec![0u8; 600000]).await?;
    upload.close().await?;
    let mut back = Vec::new();
    files.open_download_stream_by_name("file").await?.read_to_end(&mut back).await?;
    Ok(back.len())
}

async fn work(client: &Client, db: &Database) -> Result<Value> {
    let things: Collection<Document> = db.collection("things");
    let orders: Collection<Document> = db.collection("orders");
    let mut out = json!({});
    things.insert_one(doc! {"_id": 1, "n": 0, "tags": ["a"]}).await?;
    let many = (0..500).map(|i| doc! {"_id": 100 + i, "n": i});
    out["many"] = json!(things.insert_many(many).await?.inserted_ids.len());
    let updated = things
        .update_one(doc! {"_id": 1}, doc! {"$inc": {"n": 5}, "$push": {"tags": "b"}}).await?;
    out["update"] = json!([updated.matched_count, updated.modified_count]);
    let high = things
        .update_many(doc! {"n": {"$gte": 490}}, doc! {"$set": {"high": true}}).await?;
    out["update_many"] = json!(high.modified_count);
    let after = things.find_one_and_update(doc! {"_id": 1}, doc! {"$inc": {"n": 1}})
        .return_document(ReturnDocument::After).await?;
    out["find_and_modify"] = json!(after.unwrap().get_i32("n").unwrap());
    let replaced = things.replace_one(doc! {"_id": 100}, doc! {"n": -1}).await?;
    out["replace"] = json!(replaced.modified_count);
    let deleted = things.delete_many(doc! {"n": {"$gte": 1, "$lt": 5}}).await?;
    out["delete"] = json!(deleted.deleted_count);
    // Of bulk writes this driver knows the command of MongoDB 8 only.
    things.insert_one(doc! {"_id": 2}).await?;
    let set = things.update_one(doc! {"_id": 2}, doc! {"$set": {"x": 1}}).await?;
    let gone = things.delete_one(doc! {"_id": 2}).await?;
    let made = things
        .update_one(doc! {"_id": 3}, doc! {"$set": {"y": 1}}).upsert(true).await?;
    let upserts = if made.upserted_id.is_some() { 1 } else { 0 };
    out["bulk"] = json!([1, set.modified_count, gone.deleted_count, upserts]);
    let unique = IndexOptions::builder().unique(true).sparse(true).build();
    things.create_index(
        IndexModel::builder().keys(doc! {"code": 1}).options(unique).build()).await?;
    things.insert_one(doc! {"_id": 4, "code": "x"}).await?;
    let refused = things.insert_one(doc! {"_id": 5, "code": "x"}).await.unwrap_err();
    if let ErrorKind::Write(WriteFailure::WriteError(error)) = *refused.kind {
        out["duplicate"] = json!(error.code);
    }
    orders.insert_one(doc! {"_id": 0}).await?;
    transact(client, &things, &orders).await?;
    let left = things.find_one(doc! {"_id": 1}).await?.unwrap();
    out["transaction"] =
        json!([left.get_i32("n").unwrap(), orders.count_documents(doc! {}).await?]);
    out["events"] = json!(watched(&things).await?);
    out["file"] = json!(filed(db).await?);
    out["left"] = json!(things.count_documents(doc! {}).await?);
    let group = vec![doc! {"$group": {"_id": null, "sum": {"$sum": "$n"}}}];
    let grouped = things.aggregate(group).await?.try_next().await?.unwrap();
    out["sum"] = json!(grouped.get_i32("sum").unwrap());
    Ok(out)
}

async fn count(db: &Database) -> Value {
    let counters: Collection<Document> = db.collection("counters");
    let (mut acknowledged, mut failed) = (0, 0);
    for _ in 0..400 {
        match counters.update_one(doc! {"_id": "all"}, doc! {"$inc": {"n": 1}}).upsert(true).await {
            Ok(_) => acknowledged += 1,
            Err(_) => failed += 1,
        }
    }
    json!({"acknowledged": acknowledged, "failed": failed})
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let client = Client::with_uri_str(&arguments[1]).await?;
    let db = client.database(&arguments[2]);
    let out = if arguments[3] == "work" { work(&client, &db).await? } else { count(&db).await };
    println!("{out}");
    Ok(())
}
