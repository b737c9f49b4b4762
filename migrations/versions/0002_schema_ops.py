"""The schema `ops`: everything, for tokens with the scope `ops`.

Revision ID: 0002
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UPGRADE = (
    """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'usp_ops') THEN CREATE ROLE usp_ops NOLOGIN; END IF;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END $$
    """,
    """
    DO $$ BEGIN
        IF NOT pg_has_role('usp_ops',
            CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END)
        THEN GRANT usp_ops TO CURRENT_USER; END IF;
    END $$
    """,
    "CREATE SCHEMA IF NOT EXISTS ops",
    """
    CREATE VIEW ops.device WITH (security_barrier) AS
        SELECT d.id, d.name, d.title, d.kind, d.category, d.profile, p.id AS parent_id, p.name AS parent,
            f.interval, f.max_hold, d.registered_at, d.retired_at FROM usp.device d JOIN usp.profile f ON
            f.name = d.profile LEFT JOIN usp.device p ON p.id = d.parent AND p.visibility IN ('open',
            'restricted', 'ops') WHERE d.visibility IN ('open', 'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.placement WITH (security_barrier) AS
        SELECT l.device AS device_id, l.site AS site_id, s.name AS site, coalesce(l.lon, s.lon) AS lon,
            coalesce(l.lat, s.lat) AS lat, CASE WHEN l.lon IS NULL THEN coalesce(s.approximate, false) ELSE
            l.approximate END AS approximate, l.valid FROM usp.placement l JOIN usp.device d ON d.id =
            l.device LEFT JOIN usp.site s ON s.id = l.site WHERE d.visibility IN ('open', 'restricted',
            'ops')
    """,
    """
    CREATE VIEW ops.site WITH (security_barrier) AS
        SELECT s.id, s.name, s.title, s.address, s.lon, s.lat, s.approximate FROM usp.site s WHERE EXISTS
            (SELECT FROM usp.placement l JOIN usp.device d ON d.id = l.device WHERE l.site = s.id AND
            d.visibility IN ('open', 'restricted', 'ops'))
    """,
    """
    CREATE VIEW ops.air_quality WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.pm1, r.pm2_5, r.pm10, r.no, r.no2, r.o3,
            r.so2, r.co, r.co2, r.flagged, r.flags, r.received_at FROM usp.air_quality r JOIN usp.device d
            ON d.id = r.device WHERE d.visibility IN ('open', 'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.air_quality_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.pm1_time, r.pm2_5_time, r.pm10_time,
            r.no_time, r.no2_time, r.o3_time, r.so2_time, r.co_time, r.co2_time) AS time, r.pm1, r.pm1_time,
            r.pm1_flags, r.pm2_5, r.pm2_5_time, r.pm2_5_flags, r.pm10, r.pm10_time, r.pm10_flags, r.no,
            r.no_time, r.no_flags, r.no2, r.no2_time, r.no2_flags, r.o3, r.o3_time, r.o3_flags, r.so2,
            r.so2_time, r.so2_flags, r.co, r.co_time, r.co_flags, r.co2, r.co2_time, r.co2_flags FROM
            usp.air_quality_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.weather WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.temperature, r.humidity, r.pressure,
            r.wind_speed, r.wind_direction, r.rainfall, r.illuminance, r.flagged, r.flags, r.received_at
            FROM usp.weather r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.weather_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.temperature_time, r.humidity_time,
            r.pressure_time, r.wind_speed_time, r.wind_direction_time, r.rainfall_time, r.illuminance_time)
            AS time, r.temperature, r.temperature_time, r.temperature_flags, r.humidity, r.humidity_time,
            r.humidity_flags, r.pressure, r.pressure_time, r.pressure_flags, r.wind_speed,
            r.wind_speed_time, r.wind_speed_flags, r.wind_direction, r.wind_direction_time,
            r.wind_direction_flags, r.rainfall, r.rainfall_time, r.rainfall_flags, r.illuminance,
            r.illuminance_time, r.illuminance_flags FROM usp.weather_latest r JOIN usp.device d ON d.id =
            r.device WHERE d.visibility IN ('open', 'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.noise WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.period, r.laeq, r.lafmax, r.lafmin,
            r.la10, r.la50, r.la90, r.flagged, r.flags, r.received_at FROM usp.noise r JOIN usp.device d ON
            d.id = r.device WHERE d.visibility IN ('open', 'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.noise_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.laeq_time, r.lafmax_time, r.lafmin_time,
            r.la10_time, r.la50_time, r.la90_time) AS time, r.laeq, r.laeq_time, r.laeq_flags,
            r.laeq_period, r.lafmax, r.lafmax_time, r.lafmax_flags, r.lafmax_period, r.lafmin,
            r.lafmin_time, r.lafmin_flags, r.lafmin_period, r.la10, r.la10_time, r.la10_flags,
            r.la10_period, r.la50, r.la50_time, r.la50_flags, r.la50_period, r.la90, r.la90_time,
            r.la90_flags, r.la90_period FROM usp.noise_latest r JOIN usp.device d ON d.id = r.device WHERE
            d.visibility IN ('open', 'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.traffic WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.period, r.vehicles, r.cars, r.heavy,
            r.motorcycles, r.bicycles, r.pedestrians, r.speed, r.occupancy, r.flagged, r.flags,
            r.received_at FROM usp.traffic r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN
            ('open', 'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.traffic_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.vehicles_time, r.cars_time, r.heavy_time,
            r.motorcycles_time, r.bicycles_time, r.pedestrians_time, r.speed_time, r.occupancy_time) AS
            time, r.vehicles, r.vehicles_time, r.vehicles_flags, r.vehicles_period, r.cars, r.cars_time,
            r.cars_flags, r.cars_period, r.heavy, r.heavy_time, r.heavy_flags, r.heavy_period,
            r.motorcycles, r.motorcycles_time, r.motorcycles_flags, r.motorcycles_period, r.bicycles,
            r.bicycles_time, r.bicycles_flags, r.bicycles_period, r.pedestrians, r.pedestrians_time,
            r.pedestrians_flags, r.pedestrians_period, r.speed, r.speed_time, r.speed_flags, r.speed_period,
            r.occupancy, r.occupancy_time, r.occupancy_flags, r.occupancy_period FROM usp.traffic_latest r
            JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open', 'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.lighting WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.lit, r.dimming, r.power, r.energy,
            r.flagged, r.flags, r.received_at FROM usp.lighting r JOIN usp.device d ON d.id = r.device WHERE
            d.visibility IN ('open', 'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.lighting_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.lit_time, r.dimming_time, r.power_time,
            r.energy_time) AS time, r.lit, r.lit_time, r.lit_flags, r.dimming, r.dimming_time,
            r.dimming_flags, r.power, r.power_time, r.power_flags, r.energy, r.energy_time, r.energy_flags
            FROM usp.lighting_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.wifi WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.clients, r.rx_bytes, r.tx_bytes,
            r.flagged, r.flags, r.received_at FROM usp.wifi r JOIN usp.device d ON d.id = r.device WHERE
            d.visibility IN ('open', 'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.wifi_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.clients_time, r.rx_bytes_time,
            r.tx_bytes_time) AS time, r.clients, r.clients_time, r.clients_flags, r.rx_bytes,
            r.rx_bytes_time, r.rx_bytes_flags, r.tx_bytes, r.tx_bytes_time, r.tx_bytes_flags FROM
            usp.wifi_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.parking WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.occupied, r.flagged, r.flags,
            r.received_at FROM usp.parking r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN
            ('open', 'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.parking_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.occupied_time) AS time, r.occupied,
            r.occupied_time, r.occupied_flags FROM usp.parking_latest r JOIN usp.device d ON d.id = r.device
            WHERE d.visibility IN ('open', 'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.charging WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.status, r.power, r.energy,
            r.session_energy, r.current, r.voltage, r.soc, r.flagged, r.flags, r.received_at FROM
            usp.charging r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open', 'restricted',
            'ops')
    """,
    """
    CREATE VIEW ops.charging_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.status_time, r.power_time, r.energy_time,
            r.session_energy_time, r.current_time, r.voltage_time, r.soc_time) AS time, r.status,
            r.status_time, r.status_flags, r.power, r.power_time, r.power_flags, r.energy, r.energy_time,
            r.energy_flags, r.session_energy, r.session_energy_time, r.session_energy_flags, r.current,
            r.current_time, r.current_flags, r.voltage, r.voltage_time, r.voltage_flags, r.soc, r.soc_time,
            r.soc_flags FROM usp.charging_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility
            IN ('open', 'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.energy WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.active_power, r.energy_import,
            r.energy_export, r.reactive_power, r.voltage, r.voltage_l1, r.voltage_l2, r.voltage_l3,
            r.current, r.current_l1, r.current_l2, r.current_l3, r.power_factor, r.frequency, r.heat, r.gas,
            r.water, r.flagged, r.flags, r.received_at FROM usp.energy r JOIN usp.device d ON d.id =
            r.device WHERE d.visibility IN ('open', 'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.energy_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.active_power_time, r.energy_import_time,
            r.energy_export_time, r.reactive_power_time, r.voltage_time, r.voltage_l1_time,
            r.voltage_l2_time, r.voltage_l3_time, r.current_time, r.current_l1_time, r.current_l2_time,
            r.current_l3_time, r.power_factor_time, r.frequency_time, r.heat_time, r.gas_time, r.water_time)
            AS time, r.active_power, r.active_power_time, r.active_power_flags, r.energy_import,
            r.energy_import_time, r.energy_import_flags, r.energy_export, r.energy_export_time,
            r.energy_export_flags, r.reactive_power, r.reactive_power_time, r.reactive_power_flags,
            r.voltage, r.voltage_time, r.voltage_flags, r.voltage_l1, r.voltage_l1_time, r.voltage_l1_flags,
            r.voltage_l2, r.voltage_l2_time, r.voltage_l2_flags, r.voltage_l3, r.voltage_l3_time,
            r.voltage_l3_flags, r.current, r.current_time, r.current_flags, r.current_l1, r.current_l1_time,
            r.current_l1_flags, r.current_l2, r.current_l2_time, r.current_l2_flags, r.current_l3,
            r.current_l3_time, r.current_l3_flags, r.power_factor, r.power_factor_time,
            r.power_factor_flags, r.frequency, r.frequency_time, r.frequency_flags, r.heat, r.heat_time,
            r.heat_flags, r.gas, r.gas_time, r.gas_flags, r.water, r.water_time, r.water_flags FROM
            usp.energy_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.indoor_climate WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.temperature, r.humidity, r.co2, r.flagged,
            r.flags, r.received_at FROM usp.indoor_climate r JOIN usp.device d ON d.id = r.device WHERE
            d.visibility IN ('open', 'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.indoor_climate_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.temperature_time, r.humidity_time,
            r.co2_time) AS time, r.temperature, r.temperature_time, r.temperature_flags, r.humidity,
            r.humidity_time, r.humidity_flags, r.co2, r.co2_time, r.co2_flags FROM usp.indoor_climate_latest
            r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open', 'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.device_health WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.battery, r.battery_voltage, r.rssi, r.snr,
            r.frame_counter, r.frames_lost, r.flagged, r.flags, r.received_at FROM usp.device_health r JOIN
            usp.device d ON d.id = r.device WHERE d.visibility IN ('open', 'restricted', 'ops')
    """,
    """
    CREATE VIEW ops.device_health_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.battery_time, r.battery_voltage_time,
            r.rssi_time, r.snr_time, r.frame_counter_time, r.frames_lost_time) AS time, r.battery,
            r.battery_time, r.battery_flags, r.battery_voltage, r.battery_voltage_time,
            r.battery_voltage_flags, r.rssi, r.rssi_time, r.rssi_flags, r.snr, r.snr_time, r.snr_flags,
            r.frame_counter, r.frame_counter_time, r.frame_counter_flags, r.frames_lost, r.frames_lost_time,
            r.frames_lost_flags FROM usp.device_health_latest r JOIN usp.device d ON d.id = r.device WHERE
            d.visibility IN ('open', 'restricted', 'ops')
    """,
    "GRANT USAGE ON SCHEMA ops TO usp_ops",
    "GRANT SELECT ON ALL TABLES IN SCHEMA ops TO usp_ops",
)

# Roles belong to the whole server and may be in use by another database: they stay.
DOWNGRADE = ("DROP SCHEMA ops CASCADE",)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in UPGRADE:
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    connection = op.get_bind()
    for statement in DOWNGRADE:
        connection.exec_driver_sql(statement)
