ARG BASE=python:3.11.11-slim-bookworm
FROM ${BASE}
RUN groupadd --gid 999 redis && useradd --uid 999 --gid 999 --home-dir /data --no-create-home redis \
    && apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/* \
    && install -d -o 999 -g 999 /data
WORKDIR /data
VOLUME /data
EXPOSE 6379
CMD ["redis-server"]
