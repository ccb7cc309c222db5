ARG BASE=python:3.11.11-slim-bookworm
FROM ${BASE}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus && rm -rf /var/lib/apt/lists/* \
    && install -d -o 65534 -g 65534 /prometheus
WORKDIR /prometheus
VOLUME /prometheus
USER 65534
ENTRYPOINT ["prometheus"]
