# docker build -t supstream .                  the program, without shell and without root
# docker build -t mirror --target mirror .     an empty mirror for demonstrations (docker-compose.yml)

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /out/supstream ./cmd/supstream
RUN /out/supstream catalog sql > /out/mirror.sql && mkdir /out/data

FROM postgres:17-bookworm AS mirror
COPY --from=build /out/mirror.sql /docker-entrypoint-initdb.d/10-mirror.sql
COPY ops/postgres/20-supstream.sql /docker-entrypoint-initdb.d/20-supstream.sql

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/supstream /usr/local/bin/supstream
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /var/lib/supstream
WORKDIR /var/lib/supstream
USER 65532:65532
EXPOSE 9464
VOLUME /var/lib/supstream
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s CMD ["/usr/local/bin/supstream", "status"]
ENTRYPOINT ["/usr/local/bin/supstream"]
CMD ["run"]
