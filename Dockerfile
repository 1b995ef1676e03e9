# Debian's release is named too, which the tag would otherwise change some day
FROM python:3.11-slim-bookworm AS build
WORKDIR /app
COPY requirements.txt .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes --requirement requirements.txt

FROM python:3.11-slim-bookworm
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app/src PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
ENV REFERRAL_ENV=production HOST=0.0.0.0 PORT=8000
RUN useradd --system --uid 10001 --create-home referral && mkdir /data && chown referral /data
WORKDIR /data
COPY --from=build /venv /venv
COPY src /app/src
# No start writes bytecode (PYTHONDONTWRITEBYTECODE): each would compile for 0.1 s
RUN python -m compileall -q /app/src
USER referral
VOLUME /data
EXPOSE 8000
# Whether the process answers: a restart brings no database back. By http.client, which asks no proxy
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import http.client, os; h = http.client.HTTPConnection('127.0.0.1', os.environ['PORT'], timeout=4); h.request('GET', '/health/live'); exit(h.getresponse().status != 200)"]
CMD ["sh", "-c", "python -m referral migrate && exec python -m referral serve"]
