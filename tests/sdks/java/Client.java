import com.google.gson.Gson;
import com.google.gson.JsonObject;
import io.milvus.client.MilvusServiceClient;
import io.milvus.common.clientenum.ConsistencyLevelEnum;
import io.milvus.grpc.DataType;
import io.milvus.param.ConnectParam;
import io.milvus.param.IndexType;
import io.milvus.param.MetricType;
import io.milvus.param.R;
import io.milvus.param.collection.CreateCollectionParam;
import io.milvus.param.collection.DropCollectionParam;
import io.milvus.param.collection.FieldType;
import io.milvus.param.collection.LoadCollectionParam;
import io.milvus.param.dml.InsertParam;
import io.milvus.param.dml.QueryParam;
import io.milvus.param.dml.SearchParam;
import io.milvus.param.index.CreateIndexParam;
import io.milvus.response.QueryResultsWrapper;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * A short session with the Java SDK. Its settings come as JSON on standard input, so that no password is in argv.
 * It prints what it did and got, one JSON object for each call that the test compares.
 */
public final class Client {
    private static final int DIMENSION = 8;

    private static List<Float> vector(int number) {
        return Collections.nCopies(DIMENSION, number / 7f);
    }

    private static <T> T checked(String what, R<T> answer) {
        if (answer.getStatus() != R.Status.Success.getCode()) {
            throw new IllegalStateException(what + ": " + answer.getMessage(), answer.getException());
        }
        return answer.getData();
    }

    private static void note(String rpc, int nq, int limit, long rows) {
        JsonObject made = new JsonObject();
        made.addProperty("rpc", rpc);
        if (nq > 0) {
            made.addProperty("nq", nq);
        }
        if (limit > 0) {
            made.addProperty("limit", limit);
        }
        if (rows > 0) {
            made.addProperty("rows", rows);
        }
        System.out.println(made);
    }

    public static void main(String[] arguments) throws Exception {
        InputStreamReader input = new InputStreamReader(System.in, StandardCharsets.UTF_8);
        JsonObject given = new Gson().fromJson(input, JsonObject.class);
        String collection = given.get("collection").getAsString();
        MilvusServiceClient milvus = new MilvusServiceClient(ConnectParam.newBuilder()
                .withHost("127.0.0.1")
                .withPort(given.get("port").getAsInt())
                .withServerPemPath(given.get("ca").getAsString())
                .withServerName(given.get("host").getAsString())
                .withAuthorization(given.get("user").getAsString(), given.get("password").getAsString())
                .withDatabaseName(given.get("database").getAsString())
                .build());

        checked("create", milvus.createCollection(CreateCollectionParam.newBuilder()
                .withCollectionName(collection)
                .withConsistencyLevel(ConsistencyLevelEnum.BOUNDED)
                .addFieldType(FieldType.newBuilder()
                        .withName("id").withDataType(DataType.Int64).withPrimaryKey(true).build())
                .addFieldType(FieldType.newBuilder()
                        .withName("vector").withDataType(DataType.FloatVector).withDimension(DIMENSION).build())
                .build()));
        note("CreateCollection", 0, 0, 0);

        List<Long> ids = new ArrayList<>();
        List<List<Float>> vectors = new ArrayList<>();
        for (int number = 0; number < 40; number++) {
            ids.add((long) number);
            vectors.add(vector(number));
        }
        note("Insert", 0, 0, checked("insert", milvus.insert(InsertParam.newBuilder()
                .withCollectionName(collection)
                .withFields(List.of(new InsertParam.Field("id", ids), new InsertParam.Field("vector", vectors)))
                .build())).getInsertCnt());
        checked("index", milvus.createIndex(CreateIndexParam.newBuilder()
                .withCollectionName(collection)
                .withFieldName("vector")
                .withIndexType(IndexType.HNSW)
                .withMetricType(MetricType.L2)
                .withExtraParam("{\"M\": 8, \"efConstruction\": 64}")
                .build()));
        note("CreateIndex", 0, 0, 0);
        checked("load", milvus.loadCollection(
                LoadCollectionParam.newBuilder().withCollectionName(collection).build()));
        note("LoadCollection", 0, 0, 0);

        SearchParam question = SearchParam.newBuilder()
                .withCollectionName(collection)
                .withMetricType(MetricType.L2)
                .withVectorFieldName("vector")
                .withVectors(List.of(vector(3), vector(4)))
                .withTopK(5)
                .withParams("{\"ef\": 32}")
                .addOutField("id")
                .build();
        for (int number = 0; number < given.get("repeats").getAsInt(); number++) {
            long rows = checked("search", milvus.search(question)).getResults().getScoresCount();
            note("Search", 2, 5, rows);
            Thread.sleep(250);
        }
        QueryResultsWrapper listed = new QueryResultsWrapper(checked("query", milvus.query(QueryParam.newBuilder()
                .withCollectionName(collection)
                .withExpr("id < 20")
                .withLimit(7L)
                .addOutField("id")
                .build())));
        note("Query", 0, 7, listed.getRowCount());
        checked("drop", milvus.dropCollection(
                DropCollectionParam.newBuilder().withCollectionName(collection).build()));
        note("DropCollection", 0, 0, 0);
        milvus.close(10);
    }
}
