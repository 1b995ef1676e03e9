# The tag names Debian's release too; without it, the tag would move to the next release one day
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
# Starts write no bytecode (PYTHONDONTWRITEBYTECODE), so each would spend 0.1 s on compiling
RUN python -m compileall -q /app/src
USER referral
VOLUME /data
EXPOSE 8000
# /health/live only checks the process, since a restart does not bring the database back. http.client
# ignores proxy variables
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import http.client, os; h = http.client.HTTPConnection('127.0.0.1', os.environ['PORT'], timeout=4); h.request('GET', '/health/live'); exit(h.getresponse().status != 200)"]
CMD ["sh", "-c", "python -m referral migrate && exec python -m referral serve"]
