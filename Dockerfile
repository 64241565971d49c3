# The platform's own image: Flink with Python, the Kafka connector and our package. JobManager, TaskManagers, jobs, ticker, history and collector run out of it.
# Python 3.11 comes from its official image (Flink's is built on a system that ships another one); Java is the one the official Flink image runs on;
# Flink itself is the Python package apache-flink of the same version, so that client, JobManager and workers cannot differ.
FROM flink:2.3.0-java17 AS flink

FROM maven:3.9-eclipse-temurin-17 AS connector
RUN mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
    -Dartifact=org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2 -DoutputDirectory=/flink-connector

# The full Python image has the compiler that one of the packages needs.
FROM python:3.11-bookworm AS packages
COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --prefix=/packages --require-hashes -r requirements.lock

FROM python:3.11-slim-bookworm
COPY --from=flink /opt/java/openjdk /opt/java/openjdk
ENV JAVA_HOME=/opt/java/openjdk \
    PATH=/opt/java/openjdk/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CDP_HOME=/var/lib/cdp \
    CDP_PARTS=/opt/cdp-parts
WORKDIR /opt/cdp
COPY --from=packages /packages /usr/local
COPY --from=connector /flink-connector /opt/cdp-parts/flink-connector
COPY . .
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps -e . \
    && useradd --system --uid 9999 --home-dir /var/lib/cdp --create-home cdp \
    && chown -R cdp:cdp /var/lib/cdp
USER cdp
