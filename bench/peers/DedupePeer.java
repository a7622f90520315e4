import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The job in Kafka Streams: one processor with a cached RocksDB store and its changelog.
 *
 * <p>Tuned by its configuration and memory guides: a record cache that holds the hot keys, commits
 * every second, large polls and fetches, a producer that lingers, batches and compresses.
 */
public final class DedupePeer {
    private static final String STORE = "precedence";
    private static final Map<String, Integer> RANK =
            Map.of("DELIVERED", 1, "READ", 2, "FAILED", 3, "EXPIRED", 4);

    private DedupePeer() {}

    public static void main(String[] args) throws InterruptedException {
        KafkaStreams streams = new KafkaStreams(topology(), settings());
        CountDownLatch stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            stopped.countDown();
        }));
        streams.start();
        stopped.await();
    }

    private static Topology topology() {
        Topology topology = new Topology();
        topology.addSource("raw", env("RAW_TOPIC"));
        topology.addProcessor("dedupe", Dedupe::new, "raw");
        topology.addStateStore(
                Stores.keyValueStoreBuilder(
                                Stores.persistentKeyValueStore(STORE),
                                Serdes.String(),
                                Serdes.Integer())
                        .withCachingEnabled()
                        .withLoggingEnabled(Map.of()),
                "dedupe");
        topology.addSink("rises", env("OUTPUT_TOPIC"), "dedupe");
        return topology;
    }

    private static Properties settings() {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, env("APP"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, env("BROKER"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, env("STATE_DIR"));
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, env("MEMBERS"));
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
        settings.put(
                StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(
                StreamsConfig.consumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG),
                Integer.parseInt(env("SESSION_SECONDS")) * 1000);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5000);
        settings.put(
                StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG),
                4 << 20);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 50);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        return settings;
    }

    private static String env(String name) {
        return System.getenv("BENCH_" + name);
    }

    /** Forwards each rise. One instance a partition, used by one thread. */
    private static final class Dedupe implements Processor<String, byte[], String, byte[]> {
        private static final byte[] HEAD = ascii("{\"integrity_hash\":\"sha256:");
        private static final byte[] MIDDLE = ascii("\",\"pub\":");
        private static final byte[] TAIL = ascii("}");
        private static final int HASH_LENGTH = 64;

        private final ObjectMapper json = new ObjectMapper();
        private final MessageDigest sha256 = newSha256();
        private ProcessorContext<String, byte[]> context;
        private KeyValueStore<String, Integer> ranks;

        @Override
        public void init(ProcessorContext<String, byte[]> context) {
            this.context = context;
            this.ranks = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<String, byte[]> event) {
            try {
                judge(event);
            } catch (IOException error) {
                throw new IllegalStateException(error);
            }
        }

        private void judge(Record<String, byte[]> event) throws IOException {
            JsonNode raw = json.readTree(event.value());
            Integer rank = RANK.get(raw.get("status").textValue());
            if (rank == null) {
                return;
            }
            String messageId = raw.get("message_id").textValue();
            Integer held = ranks.get(messageId);
            if (held != null && rank <= held) {
                return;
            }
            ranks.put(messageId, rank);
            context.forward(event.withValue(line(flatten(raw, event.timestamp()))));
        }

        /** The members in the order of their names, so that the bytes are canonical. */
        private static Map<String, Object> flatten(JsonNode raw, long timestamp) {
            JsonNode recipient = raw.get("recipient");
            Map<String, Object> pub = new LinkedHashMap<>(32);
            pub.put("audit_id", raw.get("id"));
            pub.put("carrier_error_code", raw.get("error_code"));
            pub.put("carrier_message_id", raw.get("carrier_message_id"));
            pub.put("carrier_receipt_timestamp", raw.get("timestamp"));
            pub.put("carrier_status", raw.get("status"));
            pub.put("communication_type", raw.get("type"));
            pub.put("customer_external_id", recipient.get("external_id"));
            pub.put("delivery_status", raw.get("status"));
            pub.put("ingestion_timestamp", timestamp);
            pub.put("legal_hold", true);
            pub.put("message_uuid", raw.get("message_id"));
            pub.put("originating_agent_id", raw.get("agent_id"));
            pub.put("originating_workflow_id", raw.get("workflow_id"));
            pub.put("platform_tenant_id", raw.get("tenant").get("id"));
            pub.put("recipient_address", recipient.get("address"));
            pub.put("regulatory_tag", "COMPLIANCE_ARCHIVE_V1");
            return pub;
        }

        private byte[] line(Map<String, Object> pub) throws IOException {
            byte[] flat = json.writeValueAsBytes(pub);
            byte[] hash = ascii(HexFormat.of().formatHex(sha256.digest(flat)));
            byte[] line =
                    new byte[HEAD.length + HASH_LENGTH + MIDDLE.length + flat.length + TAIL.length];
            int end = append(line, 0, HEAD);
            end = append(line, end, hash);
            end = append(line, end, MIDDLE);
            end = append(line, end, flat);
            append(line, end, TAIL);
            return line;
        }

        private static int append(byte[] line, int start, byte[] part) {
            System.arraycopy(part, 0, line, start, part.length);
            return start + part.length;
        }

        private static byte[] ascii(String text) {
            return text.getBytes(StandardCharsets.US_ASCII);
        }

        private static MessageDigest newSha256() {
            try {
                return MessageDigest.getInstance("SHA-256");
            } catch (NoSuchAlgorithmException error) {
                throw new IllegalStateException(error);
            }
        }
    }
}
