import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.format.Json;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Runs Debezium's own engine, once for each file of settings, and writes its records to Kafka as Kafka Connect would. */
public class DebeziumToKafka {
    public static void main(String[] arguments) throws Exception {
        Properties forKafka = new Properties();
        forKafka.put("bootstrap.servers", arguments[0]);
        forKafka.put("acks", "all");
        KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(forKafka, new ByteArraySerializer(), new ByteArraySerializer());
        ExecutorService runner = Executors.newCachedThreadPool();
        List<Future<?>> running = new ArrayList<>();
        for (int at = 1; at < arguments.length; at++) {
            Properties settings = new Properties();
            try (Reader reader = Files.newBufferedReader(Path.of(arguments[at]))) {
                settings.load(reader);
            }
            running.add(runner.submit(engine(settings, producer)));
        }
        for (Future<?> one : running) {
            one.get();
        }
        System.exit(1);
    }

    private static DebeziumEngine<ChangeEvent<String, String>> engine(Properties settings, KafkaProducer<byte[], byte[]> producer) {
        return DebeziumEngine.create(Json.class)
            .using(settings)
            .using((success, message, error) -> {
                System.err.println("ended: " + message);
                if (error != null) {
                    error.printStackTrace();
                }
            })
            .notifying((records, committer) -> {
                List<Future<?>> sent = new ArrayList<>();
                for (ChangeEvent<String, String> record : records) {
                    sent.add(producer.send(new ProducerRecord<>(record.destination(), bytes(record.key()), bytes(record.value()))));
                }
                for (int at = 0; at < sent.size(); at++) {
                    acknowledged(sent.get(at));
                    committer.markProcessed(records.get(at));
                }
                committer.markBatchFinished();
            })
            .build();
    }

    private static void acknowledged(Future<?> sent) throws InterruptedException {
        try {
            sent.get(30, TimeUnit.SECONDS);
        } catch (InterruptedException error) {
            throw error;
        } catch (Exception error) {
            throw new IllegalStateException("Kafka did not take a record", error);
        }
    }

    private static byte[] bytes(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }
}
