// A short session with the Node SDK. Its settings come as JSON on standard input, so that no password is in argv.
// It prints what it did and got, one JSON object for each call that the test compares.
'use strict';

const fs = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');
const { ConsistencyLevelEnum, DataType, MilvusClient } = require('@zilliz/milvus2-sdk-node');

const DIMENSION = 8;
const vector = number => Array(DIMENSION).fill(number / 7);
const note = call => console.log(JSON.stringify(call));

// The SDK returns most of Milvus's errors instead of throwing them.
function checked(what, answer) {
  const status = answer.status ?? answer;
  if (status.code || (status.error_code && status.error_code !== 'Success')) {
    throw new Error(`${what}: ${status.code} ${status.error_code} ${status.reason}`);
  }
  return answer;
}

async function main() {
  const given = JSON.parse(fs.readFileSync(0, 'utf8'));
  const milvus = new MilvusClient({
    address: `127.0.0.1:${given.port}`,
    username: given.user,
    password: given.password,
    database: given.database,
    tls: { rootCertPath: given.ca, serverName: given.host },
  });
  await milvus.connectPromise;
  const collection_name = given.collection;
  checked('create', await milvus.createCollection({
    collection_name,
    consistency_level: ConsistencyLevelEnum.Bounded,
    fields: [
      { name: 'id', data_type: DataType.Int64, is_primary_key: true },
      { name: 'vector', data_type: DataType.FloatVector, dim: DIMENSION },
    ],
  }));
  note({ rpc: 'CreateCollection' });
  const fields_data = Array.from({ length: 40 }, (_, number) => ({ id: number, vector: vector(number) }));
  const inserted = checked('insert', await milvus.insert({ collection_name, fields_data }));
  note({ rpc: 'Insert', rows: Number(inserted.insert_cnt) });
  const index = { field_name: 'vector', index_type: 'HNSW', metric_type: 'L2', params: { M: 8, efConstruction: 64 } };
  checked('index', await milvus.createIndex({ collection_name, ...index }));
  note({ rpc: 'CreateIndex' });
  checked('load', await milvus.loadCollectionSync({ collection_name }));
  note({ rpc: 'LoadCollection' });
  const question = { collection_name, vectors: [vector(3), vector(4)], limit: 5, metric_type: 'L2', params: { ef: 32 } };
  for (let number = 0; number < given.repeats; number++) {
    const found = checked('search', await milvus.search({ ...question, output_fields: ['id'] }));
    note({ rpc: 'Search', nq: 2, limit: 5, rows: found.results.flat().length });
    await sleep(250);
  }
  const listed = await milvus.query({ collection_name, filter: 'id < 20', limit: 7, output_fields: ['id'] });
  note({ rpc: 'Query', limit: 7, rows: checked('query', listed).data.length });
  checked('drop', await milvus.dropCollection({ collection_name }));
  note({ rpc: 'DropCollection' });
  await milvus.closeConnection();
}

main().catch(error => {
  console.error(error);
  process.exitCode = 1;
});
