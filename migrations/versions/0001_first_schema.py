"""The first schema: registry, hypertables, latest and hourly tables, rejections, counts, roles and views.

Revision ID: 0001
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UPGRADE = (
    "CREATE EXTENSION IF NOT EXISTS timescaledb",
    "CREATE EXTENSION IF NOT EXISTS btree_gist",
    """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'usp_writer') THEN CREATE ROLE usp_writer NOLOGIN; END IF;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END $$
    """,
    """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'usp_open') THEN CREATE ROLE usp_open NOLOGIN; END IF;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END $$
    """,
    """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'usp_restricted') THEN CREATE ROLE usp_restricted NOLOGIN; END IF;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END $$
    """,
    """
    DO $$ BEGIN
        IF NOT pg_has_role('usp_writer',
            CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END)
        THEN GRANT usp_writer TO CURRENT_USER; END IF;
    END $$
    """,
    """
    DO $$ BEGIN
        IF NOT pg_has_role('usp_open',
            CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END)
        THEN GRANT usp_open TO CURRENT_USER; END IF;
    END $$
    """,
    """
    DO $$ BEGIN
        IF NOT pg_has_role('usp_restricted',
            CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END)
        THEN GRANT usp_restricted TO CURRENT_USER; END IF;
    END $$
    """,
    "CREATE SCHEMA IF NOT EXISTS usp",
    "CREATE SCHEMA IF NOT EXISTS open",
    "CREATE SCHEMA IF NOT EXISTS restricted",
    """
    CREATE TABLE usp.air_quality (
        time TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        pm1 REAL,
        pm2_5 REAL,
        pm10 REAL,
        no REAL,
        no2 REAL,
        o3 REAL,
        so2 REAL,
        co REAL,
        co2 REAL,
        flagged INTEGER DEFAULT 0 NOT NULL,
        flags INTEGER DEFAULT 0 NOT NULL,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX air_quality_device_time_key ON usp.air_quality (device, time)",
    """
    CREATE TABLE usp.air_quality_hourly (
        hour TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        version SMALLINT NOT NULL,
        present INTEGER[] NOT NULL,
        present_count INTEGER[] NOT NULL,
        pm1_count INTEGER,
        pm1_flagged INTEGER,
        pm1_sum DOUBLE PRECISION,
        pm1_min REAL,
        pm1_max REAL,
        pm2_5_count INTEGER,
        pm2_5_flagged INTEGER,
        pm2_5_sum DOUBLE PRECISION,
        pm2_5_min REAL,
        pm2_5_max REAL,
        pm10_count INTEGER,
        pm10_flagged INTEGER,
        pm10_sum DOUBLE PRECISION,
        pm10_min REAL,
        pm10_max REAL,
        no_count INTEGER,
        no_flagged INTEGER,
        no_sum DOUBLE PRECISION,
        no_min REAL,
        no_max REAL,
        no2_count INTEGER,
        no2_flagged INTEGER,
        no2_sum DOUBLE PRECISION,
        no2_min REAL,
        no2_max REAL,
        o3_count INTEGER,
        o3_flagged INTEGER,
        o3_sum DOUBLE PRECISION,
        o3_min REAL,
        o3_max REAL,
        so2_count INTEGER,
        so2_flagged INTEGER,
        so2_sum DOUBLE PRECISION,
        so2_min REAL,
        so2_max REAL,
        co_count INTEGER,
        co_flagged INTEGER,
        co_sum DOUBLE PRECISION,
        co_min REAL,
        co_max REAL,
        co2_count INTEGER,
        co2_flagged INTEGER,
        co2_sum DOUBLE PRECISION,
        co2_min REAL,
        co2_max REAL
    )
    """,
    "CREATE UNIQUE INDEX air_quality_hourly_device_hour_key ON usp.air_quality_hourly (device, hour)",
    """
    CREATE TABLE usp.air_quality_latest (
        device INTEGER NOT NULL,
        pm1 REAL,
        pm1_time TIMESTAMP WITH TIME ZONE,
        pm1_flags SMALLINT,
        pm2_5 REAL,
        pm2_5_time TIMESTAMP WITH TIME ZONE,
        pm2_5_flags SMALLINT,
        pm10 REAL,
        pm10_time TIMESTAMP WITH TIME ZONE,
        pm10_flags SMALLINT,
        no REAL,
        no_time TIMESTAMP WITH TIME ZONE,
        no_flags SMALLINT,
        no2 REAL,
        no2_time TIMESTAMP WITH TIME ZONE,
        no2_flags SMALLINT,
        o3 REAL,
        o3_time TIMESTAMP WITH TIME ZONE,
        o3_flags SMALLINT,
        so2 REAL,
        so2_time TIMESTAMP WITH TIME ZONE,
        so2_flags SMALLINT,
        co REAL,
        co_time TIMESTAMP WITH TIME ZONE,
        co_flags SMALLINT,
        co2 REAL,
        co2_time TIMESTAMP WITH TIME ZONE,
        co2_flags SMALLINT,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT air_quality_latest_pkey PRIMARY KEY (device)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE usp.charging (
        time TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        status TEXT,
        power REAL,
        energy DOUBLE PRECISION,
        session_energy REAL,
        current REAL,
        voltage REAL,
        soc REAL,
        flagged INTEGER DEFAULT 0 NOT NULL,
        flags INTEGER DEFAULT 0 NOT NULL,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX charging_device_time_key ON usp.charging (device, time)",
    """
    CREATE TABLE usp.charging_hourly (
        hour TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        version SMALLINT NOT NULL,
        present INTEGER[] NOT NULL,
        present_count INTEGER[] NOT NULL,
        status_count INTEGER,
        status_flagged INTEGER,
        status_first TEXT,
        status_last TEXT,
        status_available_seconds DOUBLE PRECISION,
        status_preparing_seconds DOUBLE PRECISION,
        status_charging_seconds DOUBLE PRECISION,
        status_suspended_seconds DOUBLE PRECISION,
        status_finishing_seconds DOUBLE PRECISION,
        status_reserved_seconds DOUBLE PRECISION,
        status_unavailable_seconds DOUBLE PRECISION,
        status_faulted_seconds DOUBLE PRECISION,
        status_first_time TIMESTAMP WITH TIME ZONE,
        status_last_time TIMESTAMP WITH TIME ZONE,
        status_changes INTEGER,
        power_count INTEGER,
        power_flagged INTEGER,
        power_sum DOUBLE PRECISION,
        power_min REAL,
        power_max REAL,
        energy_count INTEGER,
        energy_flagged INTEGER,
        energy_first DOUBLE PRECISION,
        energy_last DOUBLE PRECISION,
        energy_increase DOUBLE PRECISION,
        energy_first_time TIMESTAMP WITH TIME ZONE,
        energy_last_time TIMESTAMP WITH TIME ZONE,
        session_energy_count INTEGER,
        session_energy_flagged INTEGER,
        session_energy_last REAL,
        session_energy_last_time TIMESTAMP WITH TIME ZONE,
        current_count INTEGER,
        current_flagged INTEGER,
        current_sum DOUBLE PRECISION,
        current_min REAL,
        current_max REAL,
        voltage_count INTEGER,
        voltage_flagged INTEGER,
        voltage_sum DOUBLE PRECISION,
        voltage_min REAL,
        voltage_max REAL,
        soc_count INTEGER,
        soc_flagged INTEGER,
        soc_last REAL,
        soc_last_time TIMESTAMP WITH TIME ZONE
    )
    """,
    "CREATE UNIQUE INDEX charging_hourly_device_hour_key ON usp.charging_hourly (device, hour)",
    """
    CREATE TABLE usp.charging_latest (
        device INTEGER NOT NULL,
        status TEXT,
        status_time TIMESTAMP WITH TIME ZONE,
        status_flags SMALLINT,
        power REAL,
        power_time TIMESTAMP WITH TIME ZONE,
        power_flags SMALLINT,
        energy DOUBLE PRECISION,
        energy_time TIMESTAMP WITH TIME ZONE,
        energy_flags SMALLINT,
        session_energy REAL,
        session_energy_time TIMESTAMP WITH TIME ZONE,
        session_energy_flags SMALLINT,
        current REAL,
        "current_time" TIMESTAMP WITH TIME ZONE,
        current_flags SMALLINT,
        voltage REAL,
        voltage_time TIMESTAMP WITH TIME ZONE,
        voltage_flags SMALLINT,
        soc REAL,
        soc_time TIMESTAMP WITH TIME ZONE,
        soc_flags SMALLINT,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT charging_latest_pkey PRIMARY KEY (device)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE usp.device_health (
        time TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        battery REAL,
        battery_voltage REAL,
        rssi REAL,
        snr REAL,
        frame_counter DOUBLE PRECISION,
        frames_lost REAL,
        flagged INTEGER DEFAULT 0 NOT NULL,
        flags INTEGER DEFAULT 0 NOT NULL,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX device_health_device_time_key ON usp.device_health (device, time)",
    """
    CREATE TABLE usp.device_health_hourly (
        hour TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        version SMALLINT NOT NULL,
        present INTEGER[] NOT NULL,
        present_count INTEGER[] NOT NULL,
        battery_count INTEGER,
        battery_flagged INTEGER,
        battery_last REAL,
        battery_last_time TIMESTAMP WITH TIME ZONE,
        battery_voltage_count INTEGER,
        battery_voltage_flagged INTEGER,
        battery_voltage_last REAL,
        battery_voltage_last_time TIMESTAMP WITH TIME ZONE,
        rssi_count INTEGER,
        rssi_flagged INTEGER,
        rssi_sum DOUBLE PRECISION,
        rssi_min REAL,
        rssi_max REAL,
        snr_count INTEGER,
        snr_flagged INTEGER,
        snr_sum DOUBLE PRECISION,
        snr_min REAL,
        snr_max REAL,
        frame_counter_count INTEGER,
        frame_counter_flagged INTEGER,
        frame_counter_last DOUBLE PRECISION,
        frame_counter_last_time TIMESTAMP WITH TIME ZONE,
        frames_lost_count INTEGER,
        frames_lost_flagged INTEGER,
        frames_lost_sum DOUBLE PRECISION,
        frames_lost_min REAL,
        frames_lost_max REAL
    )
    """,
    "CREATE UNIQUE INDEX device_health_hourly_device_hour_key ON usp.device_health_hourly (device, hour)",
    """
    CREATE TABLE usp.device_health_latest (
        device INTEGER NOT NULL,
        battery REAL,
        battery_time TIMESTAMP WITH TIME ZONE,
        battery_flags SMALLINT,
        battery_voltage REAL,
        battery_voltage_time TIMESTAMP WITH TIME ZONE,
        battery_voltage_flags SMALLINT,
        rssi REAL,
        rssi_time TIMESTAMP WITH TIME ZONE,
        rssi_flags SMALLINT,
        snr REAL,
        snr_time TIMESTAMP WITH TIME ZONE,
        snr_flags SMALLINT,
        frame_counter DOUBLE PRECISION,
        frame_counter_time TIMESTAMP WITH TIME ZONE,
        frame_counter_flags SMALLINT,
        frames_lost REAL,
        frames_lost_time TIMESTAMP WITH TIME ZONE,
        frames_lost_flags SMALLINT,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT device_health_latest_pkey PRIMARY KEY (device)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE usp.energy (
        time TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        active_power REAL,
        energy_import DOUBLE PRECISION,
        energy_export DOUBLE PRECISION,
        reactive_power REAL,
        voltage REAL,
        voltage_l1 REAL,
        voltage_l2 REAL,
        voltage_l3 REAL,
        current REAL,
        current_l1 REAL,
        current_l2 REAL,
        current_l3 REAL,
        power_factor REAL,
        frequency REAL,
        heat DOUBLE PRECISION,
        gas DOUBLE PRECISION,
        water DOUBLE PRECISION,
        flagged INTEGER DEFAULT 0 NOT NULL,
        flags INTEGER DEFAULT 0 NOT NULL,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX energy_device_time_key ON usp.energy (device, time)",
    """
    CREATE TABLE usp.energy_hourly (
        hour TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        version SMALLINT NOT NULL,
        present INTEGER[] NOT NULL,
        present_count INTEGER[] NOT NULL,
        active_power_count INTEGER,
        active_power_flagged INTEGER,
        active_power_sum DOUBLE PRECISION,
        active_power_min REAL,
        active_power_max REAL,
        energy_import_count INTEGER,
        energy_import_flagged INTEGER,
        energy_import_first DOUBLE PRECISION,
        energy_import_last DOUBLE PRECISION,
        energy_import_increase DOUBLE PRECISION,
        energy_import_first_time TIMESTAMP WITH TIME ZONE,
        energy_import_last_time TIMESTAMP WITH TIME ZONE,
        energy_export_count INTEGER,
        energy_export_flagged INTEGER,
        energy_export_first DOUBLE PRECISION,
        energy_export_last DOUBLE PRECISION,
        energy_export_increase DOUBLE PRECISION,
        energy_export_first_time TIMESTAMP WITH TIME ZONE,
        energy_export_last_time TIMESTAMP WITH TIME ZONE,
        reactive_power_count INTEGER,
        reactive_power_flagged INTEGER,
        reactive_power_sum DOUBLE PRECISION,
        reactive_power_min REAL,
        reactive_power_max REAL,
        voltage_count INTEGER,
        voltage_flagged INTEGER,
        voltage_sum DOUBLE PRECISION,
        voltage_min REAL,
        voltage_max REAL,
        voltage_l1_count INTEGER,
        voltage_l1_flagged INTEGER,
        voltage_l1_sum DOUBLE PRECISION,
        voltage_l1_min REAL,
        voltage_l1_max REAL,
        voltage_l2_count INTEGER,
        voltage_l2_flagged INTEGER,
        voltage_l2_sum DOUBLE PRECISION,
        voltage_l2_min REAL,
        voltage_l2_max REAL,
        voltage_l3_count INTEGER,
        voltage_l3_flagged INTEGER,
        voltage_l3_sum DOUBLE PRECISION,
        voltage_l3_min REAL,
        voltage_l3_max REAL,
        current_count INTEGER,
        current_flagged INTEGER,
        current_sum DOUBLE PRECISION,
        current_min REAL,
        current_max REAL,
        current_l1_count INTEGER,
        current_l1_flagged INTEGER,
        current_l1_sum DOUBLE PRECISION,
        current_l1_min REAL,
        current_l1_max REAL,
        current_l2_count INTEGER,
        current_l2_flagged INTEGER,
        current_l2_sum DOUBLE PRECISION,
        current_l2_min REAL,
        current_l2_max REAL,
        current_l3_count INTEGER,
        current_l3_flagged INTEGER,
        current_l3_sum DOUBLE PRECISION,
        current_l3_min REAL,
        current_l3_max REAL,
        power_factor_count INTEGER,
        power_factor_flagged INTEGER,
        power_factor_sum DOUBLE PRECISION,
        power_factor_min REAL,
        power_factor_max REAL,
        frequency_count INTEGER,
        frequency_flagged INTEGER,
        frequency_sum DOUBLE PRECISION,
        frequency_min REAL,
        frequency_max REAL,
        heat_count INTEGER,
        heat_flagged INTEGER,
        heat_first DOUBLE PRECISION,
        heat_last DOUBLE PRECISION,
        heat_increase DOUBLE PRECISION,
        heat_first_time TIMESTAMP WITH TIME ZONE,
        heat_last_time TIMESTAMP WITH TIME ZONE,
        gas_count INTEGER,
        gas_flagged INTEGER,
        gas_first DOUBLE PRECISION,
        gas_last DOUBLE PRECISION,
        gas_increase DOUBLE PRECISION,
        gas_first_time TIMESTAMP WITH TIME ZONE,
        gas_last_time TIMESTAMP WITH TIME ZONE,
        water_count INTEGER,
        water_flagged INTEGER,
        water_first DOUBLE PRECISION,
        water_last DOUBLE PRECISION,
        water_increase DOUBLE PRECISION,
        water_first_time TIMESTAMP WITH TIME ZONE,
        water_last_time TIMESTAMP WITH TIME ZONE
    )
    """,
    "CREATE UNIQUE INDEX energy_hourly_device_hour_key ON usp.energy_hourly (device, hour)",
    """
    CREATE TABLE usp.energy_latest (
        device INTEGER NOT NULL,
        active_power REAL,
        active_power_time TIMESTAMP WITH TIME ZONE,
        active_power_flags SMALLINT,
        energy_import DOUBLE PRECISION,
        energy_import_time TIMESTAMP WITH TIME ZONE,
        energy_import_flags SMALLINT,
        energy_export DOUBLE PRECISION,
        energy_export_time TIMESTAMP WITH TIME ZONE,
        energy_export_flags SMALLINT,
        reactive_power REAL,
        reactive_power_time TIMESTAMP WITH TIME ZONE,
        reactive_power_flags SMALLINT,
        voltage REAL,
        voltage_time TIMESTAMP WITH TIME ZONE,
        voltage_flags SMALLINT,
        voltage_l1 REAL,
        voltage_l1_time TIMESTAMP WITH TIME ZONE,
        voltage_l1_flags SMALLINT,
        voltage_l2 REAL,
        voltage_l2_time TIMESTAMP WITH TIME ZONE,
        voltage_l2_flags SMALLINT,
        voltage_l3 REAL,
        voltage_l3_time TIMESTAMP WITH TIME ZONE,
        voltage_l3_flags SMALLINT,
        current REAL,
        "current_time" TIMESTAMP WITH TIME ZONE,
        current_flags SMALLINT,
        current_l1 REAL,
        current_l1_time TIMESTAMP WITH TIME ZONE,
        current_l1_flags SMALLINT,
        current_l2 REAL,
        current_l2_time TIMESTAMP WITH TIME ZONE,
        current_l2_flags SMALLINT,
        current_l3 REAL,
        current_l3_time TIMESTAMP WITH TIME ZONE,
        current_l3_flags SMALLINT,
        power_factor REAL,
        power_factor_time TIMESTAMP WITH TIME ZONE,
        power_factor_flags SMALLINT,
        frequency REAL,
        frequency_time TIMESTAMP WITH TIME ZONE,
        frequency_flags SMALLINT,
        heat DOUBLE PRECISION,
        heat_time TIMESTAMP WITH TIME ZONE,
        heat_flags SMALLINT,
        gas DOUBLE PRECISION,
        gas_time TIMESTAMP WITH TIME ZONE,
        gas_flags SMALLINT,
        water DOUBLE PRECISION,
        water_time TIMESTAMP WITH TIME ZONE,
        water_flags SMALLINT,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT energy_latest_pkey PRIMARY KEY (device)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE usp.indoor_climate (
        time TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        temperature REAL,
        humidity REAL,
        co2 REAL,
        flagged INTEGER DEFAULT 0 NOT NULL,
        flags INTEGER DEFAULT 0 NOT NULL,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX indoor_climate_device_time_key ON usp.indoor_climate (device, time)",
    """
    CREATE TABLE usp.indoor_climate_hourly (
        hour TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        version SMALLINT NOT NULL,
        present INTEGER[] NOT NULL,
        present_count INTEGER[] NOT NULL,
        temperature_count INTEGER,
        temperature_flagged INTEGER,
        temperature_sum DOUBLE PRECISION,
        temperature_min REAL,
        temperature_max REAL,
        humidity_count INTEGER,
        humidity_flagged INTEGER,
        humidity_sum DOUBLE PRECISION,
        humidity_min REAL,
        humidity_max REAL,
        co2_count INTEGER,
        co2_flagged INTEGER,
        co2_sum DOUBLE PRECISION,
        co2_min REAL,
        co2_max REAL
    )
    """,
    "CREATE UNIQUE INDEX indoor_climate_hourly_device_hour_key ON usp.indoor_climate_hourly (device, hour)",
    """
    CREATE TABLE usp.indoor_climate_latest (
        device INTEGER NOT NULL,
        temperature REAL,
        temperature_time TIMESTAMP WITH TIME ZONE,
        temperature_flags SMALLINT,
        humidity REAL,
        humidity_time TIMESTAMP WITH TIME ZONE,
        humidity_flags SMALLINT,
        co2 REAL,
        co2_time TIMESTAMP WITH TIME ZONE,
        co2_flags SMALLINT,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT indoor_climate_latest_pkey PRIMARY KEY (device)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE usp.ingest_minute (
        minute TIMESTAMP WITH TIME ZONE NOT NULL,
        slot SMALLINT NOT NULL,
        door TEXT NOT NULL,
        kind TEXT NOT NULL,
        dataset TEXT NOT NULL,
        what TEXT NOT NULL,
        reason TEXT NOT NULL,
        count BIGINT NOT NULL,
        CONSTRAINT ingest_minute_pkey PRIMARY KEY (minute, slot, door, kind, dataset, what, reason)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE usp.ingest_total (
        slot SMALLINT NOT NULL,
        door TEXT NOT NULL,
        kind TEXT NOT NULL,
        dataset TEXT NOT NULL,
        what TEXT NOT NULL,
        reason TEXT NOT NULL,
        count BIGINT NOT NULL,
        CONSTRAINT ingest_total_pkey PRIMARY KEY (slot, door, kind, dataset, what, reason)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE usp.lighting (
        time TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        lit BOOLEAN,
        dimming REAL,
        power REAL,
        energy DOUBLE PRECISION,
        flagged INTEGER DEFAULT 0 NOT NULL,
        flags INTEGER DEFAULT 0 NOT NULL,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX lighting_device_time_key ON usp.lighting (device, time)",
    """
    CREATE TABLE usp.lighting_hourly (
        hour TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        version SMALLINT NOT NULL,
        present INTEGER[] NOT NULL,
        present_count INTEGER[] NOT NULL,
        lit_count INTEGER,
        lit_flagged INTEGER,
        lit_first BOOLEAN,
        lit_last BOOLEAN,
        lit_true_seconds DOUBLE PRECISION,
        lit_false_seconds DOUBLE PRECISION,
        lit_first_time TIMESTAMP WITH TIME ZONE,
        lit_last_time TIMESTAMP WITH TIME ZONE,
        lit_changes INTEGER,
        dimming_count INTEGER,
        dimming_flagged INTEGER,
        dimming_sum DOUBLE PRECISION,
        dimming_min REAL,
        dimming_max REAL,
        power_count INTEGER,
        power_flagged INTEGER,
        power_sum DOUBLE PRECISION,
        power_min REAL,
        power_max REAL,
        energy_count INTEGER,
        energy_flagged INTEGER,
        energy_first DOUBLE PRECISION,
        energy_last DOUBLE PRECISION,
        energy_increase DOUBLE PRECISION,
        energy_first_time TIMESTAMP WITH TIME ZONE,
        energy_last_time TIMESTAMP WITH TIME ZONE
    )
    """,
    "CREATE UNIQUE INDEX lighting_hourly_device_hour_key ON usp.lighting_hourly (device, hour)",
    """
    CREATE TABLE usp.lighting_latest (
        device INTEGER NOT NULL,
        lit BOOLEAN,
        lit_time TIMESTAMP WITH TIME ZONE,
        lit_flags SMALLINT,
        dimming REAL,
        dimming_time TIMESTAMP WITH TIME ZONE,
        dimming_flags SMALLINT,
        power REAL,
        power_time TIMESTAMP WITH TIME ZONE,
        power_flags SMALLINT,
        energy DOUBLE PRECISION,
        energy_time TIMESTAMP WITH TIME ZONE,
        energy_flags SMALLINT,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT lighting_latest_pkey PRIMARY KEY (device)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE usp.noise (
        time TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        period REAL NOT NULL,
        laeq REAL,
        lafmax REAL,
        lafmin REAL,
        la10 REAL,
        la50 REAL,
        la90 REAL,
        flagged INTEGER DEFAULT 0 NOT NULL,
        flags INTEGER DEFAULT 0 NOT NULL,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX noise_device_time_key ON usp.noise (device, time)",
    """
    CREATE TABLE usp.noise_hourly (
        hour TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        version SMALLINT NOT NULL,
        present INTEGER[] NOT NULL,
        present_count INTEGER[] NOT NULL,
        laeq_count INTEGER,
        laeq_flagged INTEGER,
        laeq_period DOUBLE PRECISION,
        laeq_energy DOUBLE PRECISION,
        laeq_min REAL,
        laeq_max REAL,
        lafmax_count INTEGER,
        lafmax_flagged INTEGER,
        lafmax_max REAL,
        lafmin_count INTEGER,
        lafmin_flagged INTEGER,
        lafmin_min REAL,
        la10_count INTEGER,
        la10_flagged INTEGER,
        la10_sum DOUBLE PRECISION,
        la10_min REAL,
        la10_max REAL,
        la50_count INTEGER,
        la50_flagged INTEGER,
        la50_sum DOUBLE PRECISION,
        la50_min REAL,
        la50_max REAL,
        la90_count INTEGER,
        la90_flagged INTEGER,
        la90_sum DOUBLE PRECISION,
        la90_min REAL,
        la90_max REAL
    )
    """,
    "CREATE UNIQUE INDEX noise_hourly_device_hour_key ON usp.noise_hourly (device, hour)",
    """
    CREATE TABLE usp.noise_latest (
        device INTEGER NOT NULL,
        laeq REAL,
        laeq_time TIMESTAMP WITH TIME ZONE,
        laeq_flags SMALLINT,
        laeq_period REAL,
        lafmax REAL,
        lafmax_time TIMESTAMP WITH TIME ZONE,
        lafmax_flags SMALLINT,
        lafmax_period REAL,
        lafmin REAL,
        lafmin_time TIMESTAMP WITH TIME ZONE,
        lafmin_flags SMALLINT,
        lafmin_period REAL,
        la10 REAL,
        la10_time TIMESTAMP WITH TIME ZONE,
        la10_flags SMALLINT,
        la10_period REAL,
        la50 REAL,
        la50_time TIMESTAMP WITH TIME ZONE,
        la50_flags SMALLINT,
        la50_period REAL,
        la90 REAL,
        la90_time TIMESTAMP WITH TIME ZONE,
        la90_flags SMALLINT,
        la90_period REAL,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT noise_latest_pkey PRIMARY KEY (device)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE usp.parking (
        time TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        occupied BOOLEAN,
        flagged INTEGER DEFAULT 0 NOT NULL,
        flags INTEGER DEFAULT 0 NOT NULL,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX parking_device_time_key ON usp.parking (device, time)",
    """
    CREATE TABLE usp.parking_hourly (
        hour TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        version SMALLINT NOT NULL,
        present INTEGER[] NOT NULL,
        present_count INTEGER[] NOT NULL,
        occupied_count INTEGER,
        occupied_flagged INTEGER,
        occupied_first BOOLEAN,
        occupied_last BOOLEAN,
        occupied_true_seconds DOUBLE PRECISION,
        occupied_false_seconds DOUBLE PRECISION,
        occupied_first_time TIMESTAMP WITH TIME ZONE,
        occupied_last_time TIMESTAMP WITH TIME ZONE,
        occupied_changes INTEGER
    )
    """,
    "CREATE UNIQUE INDEX parking_hourly_device_hour_key ON usp.parking_hourly (device, hour)",
    """
    CREATE TABLE usp.parking_latest (
        device INTEGER NOT NULL,
        occupied BOOLEAN,
        occupied_time TIMESTAMP WITH TIME ZONE,
        occupied_flags SMALLINT,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT parking_latest_pkey PRIMARY KEY (device)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE usp.profile (
        name TEXT COLLATE "C" NOT NULL,
        title TEXT DEFAULT '' NOT NULL,
        kind TEXT NOT NULL,
        interval DOUBLE PRECISION,
        max_hold DOUBLE PRECISION NOT NULL,
        definition JSONB NOT NULL,
        CONSTRAINT profile_pkey PRIMARY KEY (name),
        CONSTRAINT profile_kind_check CHECK (kind IN ('lamppost', 'parking_sensor', 'charging_point', 'energy_meter', 'indoor_sensor'))
    )
    """,
    """
    CREATE TABLE usp.rejection_tally (
        door TEXT NOT NULL,
        address TEXT NOT NULL,
        reason TEXT NOT NULL,
        kept BIGINT NOT NULL,
        total BIGINT NOT NULL,
        first_at TIMESTAMP WITH TIME ZONE NOT NULL,
        last_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT rejection_tally_pkey PRIMARY KEY (door, address, reason)
    )
    """,
    """
    CREATE TABLE usp.site (
        id INTEGER GENERATED ALWAYS AS IDENTITY,
        name TEXT COLLATE "C" NOT NULL,
        title TEXT DEFAULT '' NOT NULL,
        address TEXT DEFAULT '' NOT NULL,
        lon DOUBLE PRECISION NOT NULL,
        lat DOUBLE PRECISION NOT NULL,
        approximate BOOLEAN DEFAULT false NOT NULL,
        CONSTRAINT site_pkey PRIMARY KEY (id),
        CONSTRAINT site_name_check CHECK (name ~ '^[a-z0-9][a-z0-9-]{1,62}$'),
        CONSTRAINT site_position_check CHECK (lon BETWEEN -180 AND 180 AND lat BETWEEN -90 AND 90),
        CONSTRAINT site_name_key UNIQUE (name)
    )
    """,
    """
    CREATE TABLE usp.token (
        id INTEGER GENERATED ALWAYS AS IDENTITY,
        name TEXT NOT NULL,
        hash BYTEA NOT NULL,
        scopes TEXT[] NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE,
        revoked_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT token_pkey PRIMARY KEY (id),
        CONSTRAINT token_name_key UNIQUE (name),
        CONSTRAINT token_hash_key UNIQUE (hash)
    )
    """,
    """
    CREATE TABLE usp.traffic (
        time TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        period REAL NOT NULL,
        vehicles REAL,
        cars REAL,
        heavy REAL,
        motorcycles REAL,
        bicycles REAL,
        pedestrians REAL,
        speed REAL,
        occupancy REAL,
        flagged INTEGER DEFAULT 0 NOT NULL,
        flags INTEGER DEFAULT 0 NOT NULL,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX traffic_device_time_key ON usp.traffic (device, time)",
    """
    CREATE TABLE usp.traffic_hourly (
        hour TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        version SMALLINT NOT NULL,
        present INTEGER[] NOT NULL,
        present_count INTEGER[] NOT NULL,
        vehicles_count INTEGER,
        vehicles_flagged INTEGER,
        vehicles_sum DOUBLE PRECISION,
        vehicles_min REAL,
        vehicles_max REAL,
        cars_count INTEGER,
        cars_flagged INTEGER,
        cars_sum DOUBLE PRECISION,
        cars_min REAL,
        cars_max REAL,
        heavy_count INTEGER,
        heavy_flagged INTEGER,
        heavy_sum DOUBLE PRECISION,
        heavy_min REAL,
        heavy_max REAL,
        motorcycles_count INTEGER,
        motorcycles_flagged INTEGER,
        motorcycles_sum DOUBLE PRECISION,
        motorcycles_min REAL,
        motorcycles_max REAL,
        bicycles_count INTEGER,
        bicycles_flagged INTEGER,
        bicycles_sum DOUBLE PRECISION,
        bicycles_min REAL,
        bicycles_max REAL,
        pedestrians_count INTEGER,
        pedestrians_flagged INTEGER,
        pedestrians_sum DOUBLE PRECISION,
        pedestrians_min REAL,
        pedestrians_max REAL,
        speed_count INTEGER,
        speed_flagged INTEGER,
        speed_weight DOUBLE PRECISION,
        speed_weighted DOUBLE PRECISION,
        speed_min REAL,
        speed_max REAL,
        occupancy_count INTEGER,
        occupancy_flagged INTEGER,
        occupancy_sum DOUBLE PRECISION,
        occupancy_min REAL,
        occupancy_max REAL
    )
    """,
    "CREATE UNIQUE INDEX traffic_hourly_device_hour_key ON usp.traffic_hourly (device, hour)",
    """
    CREATE TABLE usp.traffic_latest (
        device INTEGER NOT NULL,
        vehicles REAL,
        vehicles_time TIMESTAMP WITH TIME ZONE,
        vehicles_flags SMALLINT,
        vehicles_period REAL,
        cars REAL,
        cars_time TIMESTAMP WITH TIME ZONE,
        cars_flags SMALLINT,
        cars_period REAL,
        heavy REAL,
        heavy_time TIMESTAMP WITH TIME ZONE,
        heavy_flags SMALLINT,
        heavy_period REAL,
        motorcycles REAL,
        motorcycles_time TIMESTAMP WITH TIME ZONE,
        motorcycles_flags SMALLINT,
        motorcycles_period REAL,
        bicycles REAL,
        bicycles_time TIMESTAMP WITH TIME ZONE,
        bicycles_flags SMALLINT,
        bicycles_period REAL,
        pedestrians REAL,
        pedestrians_time TIMESTAMP WITH TIME ZONE,
        pedestrians_flags SMALLINT,
        pedestrians_period REAL,
        speed REAL,
        speed_time TIMESTAMP WITH TIME ZONE,
        speed_flags SMALLINT,
        speed_period REAL,
        occupancy REAL,
        occupancy_time TIMESTAMP WITH TIME ZONE,
        occupancy_flags SMALLINT,
        occupancy_period REAL,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT traffic_latest_pkey PRIMARY KEY (device)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE usp.weather (
        time TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        temperature REAL,
        humidity REAL,
        pressure REAL,
        wind_speed REAL,
        wind_direction REAL,
        rainfall REAL,
        illuminance REAL,
        flagged INTEGER DEFAULT 0 NOT NULL,
        flags INTEGER DEFAULT 0 NOT NULL,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX weather_device_time_key ON usp.weather (device, time)",
    """
    CREATE TABLE usp.weather_hourly (
        hour TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        version SMALLINT NOT NULL,
        present INTEGER[] NOT NULL,
        present_count INTEGER[] NOT NULL,
        temperature_count INTEGER,
        temperature_flagged INTEGER,
        temperature_sum DOUBLE PRECISION,
        temperature_min REAL,
        temperature_max REAL,
        humidity_count INTEGER,
        humidity_flagged INTEGER,
        humidity_sum DOUBLE PRECISION,
        humidity_min REAL,
        humidity_max REAL,
        pressure_count INTEGER,
        pressure_flagged INTEGER,
        pressure_sum DOUBLE PRECISION,
        pressure_min REAL,
        pressure_max REAL,
        wind_speed_count INTEGER,
        wind_speed_flagged INTEGER,
        wind_speed_sum DOUBLE PRECISION,
        wind_speed_min REAL,
        wind_speed_max REAL,
        wind_direction_count INTEGER,
        wind_direction_flagged INTEGER,
        wind_direction_sin DOUBLE PRECISION,
        wind_direction_cos DOUBLE PRECISION,
        rainfall_count INTEGER,
        rainfall_flagged INTEGER,
        rainfall_sum DOUBLE PRECISION,
        rainfall_min REAL,
        rainfall_max REAL,
        illuminance_count INTEGER,
        illuminance_flagged INTEGER,
        illuminance_sum DOUBLE PRECISION,
        illuminance_min REAL,
        illuminance_max REAL
    )
    """,
    "CREATE UNIQUE INDEX weather_hourly_device_hour_key ON usp.weather_hourly (device, hour)",
    """
    CREATE TABLE usp.weather_latest (
        device INTEGER NOT NULL,
        temperature REAL,
        temperature_time TIMESTAMP WITH TIME ZONE,
        temperature_flags SMALLINT,
        humidity REAL,
        humidity_time TIMESTAMP WITH TIME ZONE,
        humidity_flags SMALLINT,
        pressure REAL,
        pressure_time TIMESTAMP WITH TIME ZONE,
        pressure_flags SMALLINT,
        wind_speed REAL,
        wind_speed_time TIMESTAMP WITH TIME ZONE,
        wind_speed_flags SMALLINT,
        wind_direction REAL,
        wind_direction_time TIMESTAMP WITH TIME ZONE,
        wind_direction_flags SMALLINT,
        rainfall REAL,
        rainfall_time TIMESTAMP WITH TIME ZONE,
        rainfall_flags SMALLINT,
        illuminance REAL,
        illuminance_time TIMESTAMP WITH TIME ZONE,
        illuminance_flags SMALLINT,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT weather_latest_pkey PRIMARY KEY (device)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE usp.wifi (
        time TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        clients REAL,
        rx_bytes DOUBLE PRECISION,
        tx_bytes DOUBLE PRECISION,
        flagged INTEGER DEFAULT 0 NOT NULL,
        flags INTEGER DEFAULT 0 NOT NULL,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX wifi_device_time_key ON usp.wifi (device, time)",
    """
    CREATE TABLE usp.wifi_hourly (
        hour TIMESTAMP WITH TIME ZONE NOT NULL,
        device INTEGER NOT NULL,
        version SMALLINT NOT NULL,
        present INTEGER[] NOT NULL,
        present_count INTEGER[] NOT NULL,
        clients_count INTEGER,
        clients_flagged INTEGER,
        clients_sum DOUBLE PRECISION,
        clients_min REAL,
        clients_max REAL,
        rx_bytes_count INTEGER,
        rx_bytes_flagged INTEGER,
        rx_bytes_first DOUBLE PRECISION,
        rx_bytes_last DOUBLE PRECISION,
        rx_bytes_increase DOUBLE PRECISION,
        rx_bytes_first_time TIMESTAMP WITH TIME ZONE,
        rx_bytes_last_time TIMESTAMP WITH TIME ZONE,
        tx_bytes_count INTEGER,
        tx_bytes_flagged INTEGER,
        tx_bytes_first DOUBLE PRECISION,
        tx_bytes_last DOUBLE PRECISION,
        tx_bytes_increase DOUBLE PRECISION,
        tx_bytes_first_time TIMESTAMP WITH TIME ZONE,
        tx_bytes_last_time TIMESTAMP WITH TIME ZONE
    )
    """,
    "CREATE UNIQUE INDEX wifi_hourly_device_hour_key ON usp.wifi_hourly (device, hour)",
    """
    CREATE TABLE usp.wifi_latest (
        device INTEGER NOT NULL,
        clients REAL,
        clients_time TIMESTAMP WITH TIME ZONE,
        clients_flags SMALLINT,
        rx_bytes DOUBLE PRECISION,
        rx_bytes_time TIMESTAMP WITH TIME ZONE,
        rx_bytes_flags SMALLINT,
        tx_bytes DOUBLE PRECISION,
        tx_bytes_time TIMESTAMP WITH TIME ZONE,
        tx_bytes_flags SMALLINT,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT wifi_latest_pkey PRIMARY KEY (device)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE usp.worker (
        slot SMALLINT NOT NULL,
        host TEXT NOT NULL,
        pid INTEGER NOT NULL,
        started_at TIMESTAMP WITH TIME ZONE NOT NULL,
        heartbeat_at TIMESTAMP WITH TIME ZONE NOT NULL,
        in_flight INTEGER NOT NULL,
        connected BOOLEAN NOT NULL,
        CONSTRAINT worker_pkey PRIMARY KEY (slot)
    )
    """,
    """
    CREATE TABLE usp.device (
        id INTEGER GENERATED ALWAYS AS IDENTITY,
        name TEXT COLLATE "C" NOT NULL,
        title TEXT DEFAULT '' NOT NULL,
        kind TEXT NOT NULL,
        category TEXT,
        profile TEXT COLLATE "C" NOT NULL,
        parent INTEGER,
        visibility TEXT DEFAULT 'open' NOT NULL,
        registered_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        retired_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT device_pkey PRIMARY KEY (id),
        CONSTRAINT device_name_check CHECK (name ~ '^[a-z0-9][a-z0-9-]{1,62}$'),
        CONSTRAINT device_kind_check CHECK (kind IN ('lamppost', 'parking_sensor', 'charging_point', 'energy_meter', 'indoor_sensor')),
        CONSTRAINT device_visibility_check CHECK (visibility IN ('open', 'restricted', 'ops')),
        CONSTRAINT device_category_check CHECK (category IS NULL OR (kind = 'parking_sensor' AND category IN ('logistics', 'disabled', 'no_parking', 'mobility_area')) OR (kind = 'charging_point' AND category IN ('fast', 'normal')) OR (kind = 'energy_meter' AND category IN ('main', 'common', 'photovoltaic', 'dwelling'))),
        CONSTRAINT device_privacy_check CHECK (category IS DISTINCT FROM 'dwelling' OR visibility <> 'open'),
        CONSTRAINT device_name_key UNIQUE (name),
        CONSTRAINT device_profile_fkey FOREIGN KEY(profile) REFERENCES usp.profile (name),
        CONSTRAINT device_parent_fkey FOREIGN KEY(parent) REFERENCES usp.device (id)
    )
    """,
    "CREATE INDEX device_parent_idx ON usp.device (parent)",
    """
    CREATE TABLE usp.device_address (
        id INTEGER GENERATED ALWAYS AS IDENTITY,
        network TEXT NOT NULL,
        address TEXT NOT NULL,
        device INTEGER NOT NULL,
        valid TSTZRANGE NOT NULL,
        CONSTRAINT device_address_pkey PRIMARY KEY (id),
        CONSTRAINT device_address_valid_check CHECK (NOT isempty(valid)),
        CONSTRAINT device_address_network_address_valid_excl EXCLUDE USING gist (network WITH =, address WITH =, valid WITH &&),
        CONSTRAINT device_address_device_fkey FOREIGN KEY(device) REFERENCES usp.device (id)
    )
    """,
    "CREATE INDEX device_address_device_idx ON usp.device_address (device)",
    """
    CREATE TABLE usp.placement (
        id INTEGER GENERATED ALWAYS AS IDENTITY,
        device INTEGER NOT NULL,
        site INTEGER,
        lon DOUBLE PRECISION,
        lat DOUBLE PRECISION,
        approximate BOOLEAN DEFAULT false NOT NULL,
        valid TSTZRANGE NOT NULL,
        CONSTRAINT placement_pkey PRIMARY KEY (id),
        CONSTRAINT placement_position_check CHECK (lon BETWEEN -180 AND 180 AND lat BETWEEN -90 AND 90),
        CONSTRAINT placement_pair_check CHECK ((lon IS NULL) = (lat IS NULL)),
        CONSTRAINT placement_valid_check CHECK (NOT isempty(valid)),
        CONSTRAINT placement_device_valid_excl EXCLUDE USING gist (device WITH =, valid WITH &&),
        CONSTRAINT placement_device_fkey FOREIGN KEY(device) REFERENCES usp.device (id),
        CONSTRAINT placement_site_fkey FOREIGN KEY(site) REFERENCES usp.site (id)
    )
    """,
    "CREATE INDEX placement_site_idx ON usp.placement (site)",
    """
    CREATE TABLE usp.rejection (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL,
        door TEXT NOT NULL,
        topic TEXT DEFAULT '' NOT NULL,
        address TEXT DEFAULT '' NOT NULL,
        device INTEGER,
        dataset TEXT DEFAULT '' NOT NULL,
        field TEXT DEFAULT '' NOT NULL,
        reason TEXT NOT NULL,
        detail TEXT DEFAULT '' NOT NULL,
        whole_item BOOLEAN NOT NULL,
        payload BYTEA,
        payload_length INTEGER NOT NULL,
        payload_sha256 BYTEA,
        resolved_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT rejection_pkey PRIMARY KEY (id),
        CONSTRAINT rejection_device_fkey FOREIGN KEY(device) REFERENCES usp.device (id)
    )
    """,
    "CREATE INDEX rejection_address_reason_idx ON usp.rejection (address, reason)",
    "CREATE INDEX rejection_received_at_idx ON usp.rejection (received_at)",
    """
    CREATE TABLE usp.unmapped_field (
        device INTEGER NOT NULL,
        field TEXT NOT NULL,
        count BIGINT NOT NULL,
        last_value TEXT NOT NULL,
        last_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT unmapped_field_pkey PRIMARY KEY (device, field),
        CONSTRAINT unmapped_field_device_fkey FOREIGN KEY(device) REFERENCES usp.device (id)
    )
    """,
    "SELECT create_hypertable('usp.air_quality', by_range('time', INTERVAL '7 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.air_quality_hourly', by_range('hour', INTERVAL '90 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.weather', by_range('time', INTERVAL '7 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.weather_hourly', by_range('hour', INTERVAL '90 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.noise', by_range('time', INTERVAL '7 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.noise_hourly', by_range('hour', INTERVAL '90 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.traffic', by_range('time', INTERVAL '7 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.traffic_hourly', by_range('hour', INTERVAL '90 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.lighting', by_range('time', INTERVAL '7 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.lighting_hourly', by_range('hour', INTERVAL '90 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.wifi', by_range('time', INTERVAL '7 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.wifi_hourly', by_range('hour', INTERVAL '90 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.parking', by_range('time', INTERVAL '7 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.parking_hourly', by_range('hour', INTERVAL '90 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.charging', by_range('time', INTERVAL '7 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.charging_hourly', by_range('hour', INTERVAL '90 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.energy', by_range('time', INTERVAL '7 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.energy_hourly', by_range('hour', INTERVAL '90 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.indoor_climate', by_range('time', INTERVAL '7 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.indoor_climate_hourly', by_range('hour', INTERVAL '90 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.device_health', by_range('time', INTERVAL '7 days'), create_default_indexes => false)",
    "SELECT create_hypertable('usp.device_health_hourly', by_range('hour', INTERVAL '90 days'), create_default_indexes => false)",
    """
    CREATE VIEW open.device WITH (security_barrier) AS
        SELECT d.id, d.name, d.title, d.kind, d.category, d.profile, p.id AS parent_id, p.name AS
            parent, f.interval, f.max_hold, d.registered_at, d.retired_at
        FROM usp.device d JOIN usp.profile f ON f.name = d.profile LEFT JOIN usp.device p ON p.id =
            d.parent AND p.visibility = 'open' WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.placement WITH (security_barrier) AS
        SELECT l.device AS device_id, l.site AS site_id, s.name AS site, coalesce(l.lon, s.lon) AS lon,
            coalesce(l.lat, s.lat) AS lat, CASE WHEN l.lon IS NULL THEN coalesce(s.approximate, false)
            ELSE l.approximate END AS approximate, l.valid
        FROM usp.placement l JOIN usp.device d ON d.id = l.device LEFT JOIN usp.site s ON s.id = l.site
            WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.site WITH (security_barrier) AS
        SELECT s.id, s.name, s.title, s.address, s.lon, s.lat, s.approximate
        FROM usp.site s WHERE EXISTS (SELECT FROM usp.placement l JOIN usp.device d ON d.id = l.device
            WHERE l.site = s.id AND d.visibility = 'open')
    """,
    """
    CREATE VIEW open.air_quality WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.pm1, r.pm2_5, r.pm10, r.no, r.no2,
            r.o3, r.so2, r.co, r.co2, r.flagged, r.flags, r.received_at
        FROM usp.air_quality r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.air_quality_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.pm1_time, r.pm2_5_time, r.pm10_time,
            r.no_time, r.no2_time, r.o3_time, r.so2_time, r.co_time, r.co2_time) AS time, r.pm1,
            r.pm1_time, r.pm1_flags, r.pm2_5, r.pm2_5_time, r.pm2_5_flags, r.pm10, r.pm10_time,
            r.pm10_flags, r.no, r.no_time, r.no_flags, r.no2, r.no2_time, r.no2_flags, r.o3, r.o3_time,
            r.o3_flags, r.so2, r.so2_time, r.so2_flags, r.co, r.co_time, r.co_flags, r.co2, r.co2_time,
            r.co2_flags
        FROM usp.air_quality_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.weather WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.temperature, r.humidity, r.pressure,
            r.wind_speed, r.wind_direction, r.rainfall, r.illuminance, r.flagged, r.flags, r.received_at
        FROM usp.weather r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.weather_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.temperature_time, r.humidity_time,
            r.pressure_time, r.wind_speed_time, r.wind_direction_time, r.rainfall_time,
            r.illuminance_time) AS time, r.temperature, r.temperature_time, r.temperature_flags,
            r.humidity, r.humidity_time, r.humidity_flags, r.pressure, r.pressure_time,
            r.pressure_flags, r.wind_speed, r.wind_speed_time, r.wind_speed_flags, r.wind_direction,
            r.wind_direction_time, r.wind_direction_flags, r.rainfall, r.rainfall_time,
            r.rainfall_flags, r.illuminance, r.illuminance_time, r.illuminance_flags
        FROM usp.weather_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.noise WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.period, r.laeq, r.lafmax, r.lafmin,
            r.la10, r.la50, r.la90, r.flagged, r.flags, r.received_at
        FROM usp.noise r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.noise_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.laeq_time, r.lafmax_time,
            r.lafmin_time, r.la10_time, r.la50_time, r.la90_time) AS time, r.laeq, r.laeq_time,
            r.laeq_flags, r.laeq_period, r.lafmax, r.lafmax_time, r.lafmax_flags, r.lafmax_period,
            r.lafmin, r.lafmin_time, r.lafmin_flags, r.lafmin_period, r.la10, r.la10_time, r.la10_flags,
            r.la10_period, r.la50, r.la50_time, r.la50_flags, r.la50_period, r.la90, r.la90_time,
            r.la90_flags, r.la90_period
        FROM usp.noise_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.traffic WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.period, r.vehicles, r.cars, r.heavy,
            r.motorcycles, r.bicycles, r.pedestrians, r.speed, r.occupancy, r.flagged, r.flags,
            r.received_at
        FROM usp.traffic r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.traffic_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.vehicles_time, r.cars_time,
            r.heavy_time, r.motorcycles_time, r.bicycles_time, r.pedestrians_time, r.speed_time,
            r.occupancy_time) AS time, r.vehicles, r.vehicles_time, r.vehicles_flags, r.vehicles_period,
            r.cars, r.cars_time, r.cars_flags, r.cars_period, r.heavy, r.heavy_time, r.heavy_flags,
            r.heavy_period, r.motorcycles, r.motorcycles_time, r.motorcycles_flags,
            r.motorcycles_period, r.bicycles, r.bicycles_time, r.bicycles_flags, r.bicycles_period,
            r.pedestrians, r.pedestrians_time, r.pedestrians_flags, r.pedestrians_period, r.speed,
            r.speed_time, r.speed_flags, r.speed_period, r.occupancy, r.occupancy_time,
            r.occupancy_flags, r.occupancy_period
        FROM usp.traffic_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.lighting WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.lit, r.dimming, r.power, r.energy,
            r.flagged, r.flags, r.received_at
        FROM usp.lighting r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.lighting_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.lit_time, r.dimming_time,
            r.power_time, r.energy_time) AS time, r.lit, r.lit_time, r.lit_flags, r.dimming,
            r.dimming_time, r.dimming_flags, r.power, r.power_time, r.power_flags, r.energy,
            r.energy_time, r.energy_flags
        FROM usp.lighting_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.wifi WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.clients, r.rx_bytes, r.tx_bytes,
            r.flagged, r.flags, r.received_at
        FROM usp.wifi r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.wifi_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.clients_time, r.rx_bytes_time,
            r.tx_bytes_time) AS time, r.clients, r.clients_time, r.clients_flags, r.rx_bytes,
            r.rx_bytes_time, r.rx_bytes_flags, r.tx_bytes, r.tx_bytes_time, r.tx_bytes_flags
        FROM usp.wifi_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.parking WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.occupied, r.flagged, r.flags,
            r.received_at
        FROM usp.parking r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.parking_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.occupied_time) AS time, r.occupied,
            r.occupied_time, r.occupied_flags
        FROM usp.parking_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.charging WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.status, r.power, r.energy,
            r.session_energy, r.current, r.voltage, r.flagged & 63 AS flagged, r.flags & 15 AS flags,
            r.received_at
        FROM usp.charging r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open' AND
            (r.status IS NOT NULL OR r.power IS NOT NULL OR r.energy IS NOT NULL OR r.session_energy IS
            NOT NULL OR r.current IS NOT NULL OR r.voltage IS NOT NULL)
    """,
    """
    CREATE VIEW open.charging_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.status_time, r.power_time,
            r.energy_time, r.session_energy_time, r.current_time, r.voltage_time) AS time, r.status,
            r.status_time, r.status_flags, r.power, r.power_time, r.power_flags, r.energy,
            r.energy_time, r.energy_flags, r.session_energy, r.session_energy_time,
            r.session_energy_flags, r.current, r.current_time, r.current_flags, r.voltage,
            r.voltage_time, r.voltage_flags
        FROM usp.charging_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open' AND
            (r.status IS NOT NULL OR r.power IS NOT NULL OR r.energy IS NOT NULL OR r.session_energy IS
            NOT NULL OR r.current IS NOT NULL OR r.voltage IS NOT NULL)
    """,
    """
    CREATE VIEW open.energy WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.active_power, r.energy_import,
            r.energy_export, r.reactive_power, r.voltage, r.voltage_l1, r.voltage_l2, r.voltage_l3,
            r.current, r.current_l1, r.current_l2, r.current_l3, r.power_factor, r.frequency, r.heat,
            r.gas, r.water, r.flagged, r.flags, r.received_at
        FROM usp.energy r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.energy_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.active_power_time,
            r.energy_import_time, r.energy_export_time, r.reactive_power_time, r.voltage_time,
            r.voltage_l1_time, r.voltage_l2_time, r.voltage_l3_time, r.current_time, r.current_l1_time,
            r.current_l2_time, r.current_l3_time, r.power_factor_time, r.frequency_time, r.heat_time,
            r.gas_time, r.water_time) AS time, r.active_power, r.active_power_time,
            r.active_power_flags, r.energy_import, r.energy_import_time, r.energy_import_flags,
            r.energy_export, r.energy_export_time, r.energy_export_flags, r.reactive_power,
            r.reactive_power_time, r.reactive_power_flags, r.voltage, r.voltage_time, r.voltage_flags,
            r.voltage_l1, r.voltage_l1_time, r.voltage_l1_flags, r.voltage_l2, r.voltage_l2_time,
            r.voltage_l2_flags, r.voltage_l3, r.voltage_l3_time, r.voltage_l3_flags, r.current,
            r.current_time, r.current_flags, r.current_l1, r.current_l1_time, r.current_l1_flags,
            r.current_l2, r.current_l2_time, r.current_l2_flags, r.current_l3, r.current_l3_time,
            r.current_l3_flags, r.power_factor, r.power_factor_time, r.power_factor_flags, r.frequency,
            r.frequency_time, r.frequency_flags, r.heat, r.heat_time, r.heat_flags, r.gas, r.gas_time,
            r.gas_flags, r.water, r.water_time, r.water_flags
        FROM usp.energy_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.indoor_climate WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.temperature, r.humidity, r.co2,
            r.flagged, r.flags, r.received_at
        FROM usp.indoor_climate r JOIN usp.device d ON d.id = r.device WHERE d.visibility = 'open'
    """,
    """
    CREATE VIEW open.indoor_climate_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.temperature_time, r.humidity_time,
            r.co2_time) AS time, r.temperature, r.temperature_time, r.temperature_flags, r.humidity,
            r.humidity_time, r.humidity_flags, r.co2, r.co2_time, r.co2_flags
        FROM usp.indoor_climate_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility =
            'open'
    """,
    """
    CREATE VIEW restricted.device WITH (security_barrier) AS
        SELECT d.id, d.name, d.title, d.kind, d.category, d.profile, p.id AS parent_id, p.name AS
            parent, f.interval, f.max_hold, d.registered_at, d.retired_at
        FROM usp.device d JOIN usp.profile f ON f.name = d.profile LEFT JOIN usp.device p ON p.id =
            d.parent AND p.visibility IN ('open', 'restricted') WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.placement WITH (security_barrier) AS
        SELECT l.device AS device_id, l.site AS site_id, s.name AS site, coalesce(l.lon, s.lon) AS lon,
            coalesce(l.lat, s.lat) AS lat, CASE WHEN l.lon IS NULL THEN coalesce(s.approximate, false)
            ELSE l.approximate END AS approximate, l.valid
        FROM usp.placement l JOIN usp.device d ON d.id = l.device LEFT JOIN usp.site s ON s.id = l.site
            WHERE d.visibility IN ('open', 'restricted')
    """,
    """
    CREATE VIEW restricted.site WITH (security_barrier) AS
        SELECT s.id, s.name, s.title, s.address, s.lon, s.lat, s.approximate
        FROM usp.site s WHERE EXISTS (SELECT FROM usp.placement l JOIN usp.device d ON d.id = l.device
            WHERE l.site = s.id AND d.visibility IN ('open', 'restricted'))
    """,
    """
    CREATE VIEW restricted.air_quality WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.pm1, r.pm2_5, r.pm10, r.no, r.no2,
            r.o3, r.so2, r.co, r.co2, r.flagged, r.flags, r.received_at
        FROM usp.air_quality r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.air_quality_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.pm1_time, r.pm2_5_time, r.pm10_time,
            r.no_time, r.no2_time, r.o3_time, r.so2_time, r.co_time, r.co2_time) AS time, r.pm1,
            r.pm1_time, r.pm1_flags, r.pm2_5, r.pm2_5_time, r.pm2_5_flags, r.pm10, r.pm10_time,
            r.pm10_flags, r.no, r.no_time, r.no_flags, r.no2, r.no2_time, r.no2_flags, r.o3, r.o3_time,
            r.o3_flags, r.so2, r.so2_time, r.so2_flags, r.co, r.co_time, r.co_flags, r.co2, r.co2_time,
            r.co2_flags
        FROM usp.air_quality_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN
            ('open', 'restricted')
    """,
    """
    CREATE VIEW restricted.weather WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.temperature, r.humidity, r.pressure,
            r.wind_speed, r.wind_direction, r.rainfall, r.illuminance, r.flagged, r.flags, r.received_at
        FROM usp.weather r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.weather_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.temperature_time, r.humidity_time,
            r.pressure_time, r.wind_speed_time, r.wind_direction_time, r.rainfall_time,
            r.illuminance_time) AS time, r.temperature, r.temperature_time, r.temperature_flags,
            r.humidity, r.humidity_time, r.humidity_flags, r.pressure, r.pressure_time,
            r.pressure_flags, r.wind_speed, r.wind_speed_time, r.wind_speed_flags, r.wind_direction,
            r.wind_direction_time, r.wind_direction_flags, r.rainfall, r.rainfall_time,
            r.rainfall_flags, r.illuminance, r.illuminance_time, r.illuminance_flags
        FROM usp.weather_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.noise WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.period, r.laeq, r.lafmax, r.lafmin,
            r.la10, r.la50, r.la90, r.flagged, r.flags, r.received_at
        FROM usp.noise r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.noise_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.laeq_time, r.lafmax_time,
            r.lafmin_time, r.la10_time, r.la50_time, r.la90_time) AS time, r.laeq, r.laeq_time,
            r.laeq_flags, r.laeq_period, r.lafmax, r.lafmax_time, r.lafmax_flags, r.lafmax_period,
            r.lafmin, r.lafmin_time, r.lafmin_flags, r.lafmin_period, r.la10, r.la10_time, r.la10_flags,
            r.la10_period, r.la50, r.la50_time, r.la50_flags, r.la50_period, r.la90, r.la90_time,
            r.la90_flags, r.la90_period
        FROM usp.noise_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.traffic WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.period, r.vehicles, r.cars, r.heavy,
            r.motorcycles, r.bicycles, r.pedestrians, r.speed, r.occupancy, r.flagged, r.flags,
            r.received_at
        FROM usp.traffic r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.traffic_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.vehicles_time, r.cars_time,
            r.heavy_time, r.motorcycles_time, r.bicycles_time, r.pedestrians_time, r.speed_time,
            r.occupancy_time) AS time, r.vehicles, r.vehicles_time, r.vehicles_flags, r.vehicles_period,
            r.cars, r.cars_time, r.cars_flags, r.cars_period, r.heavy, r.heavy_time, r.heavy_flags,
            r.heavy_period, r.motorcycles, r.motorcycles_time, r.motorcycles_flags,
            r.motorcycles_period, r.bicycles, r.bicycles_time, r.bicycles_flags, r.bicycles_period,
            r.pedestrians, r.pedestrians_time, r.pedestrians_flags, r.pedestrians_period, r.speed,
            r.speed_time, r.speed_flags, r.speed_period, r.occupancy, r.occupancy_time,
            r.occupancy_flags, r.occupancy_period
        FROM usp.traffic_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.lighting WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.lit, r.dimming, r.power, r.energy,
            r.flagged, r.flags, r.received_at
        FROM usp.lighting r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.lighting_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.lit_time, r.dimming_time,
            r.power_time, r.energy_time) AS time, r.lit, r.lit_time, r.lit_flags, r.dimming,
            r.dimming_time, r.dimming_flags, r.power, r.power_time, r.power_flags, r.energy,
            r.energy_time, r.energy_flags
        FROM usp.lighting_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.wifi WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.clients, r.rx_bytes, r.tx_bytes,
            r.flagged, r.flags, r.received_at
        FROM usp.wifi r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.wifi_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.clients_time, r.rx_bytes_time,
            r.tx_bytes_time) AS time, r.clients, r.clients_time, r.clients_flags, r.rx_bytes,
            r.rx_bytes_time, r.rx_bytes_flags, r.tx_bytes, r.tx_bytes_time, r.tx_bytes_flags
        FROM usp.wifi_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.parking WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.occupied, r.flagged, r.flags,
            r.received_at
        FROM usp.parking r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.parking_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.occupied_time) AS time, r.occupied,
            r.occupied_time, r.occupied_flags
        FROM usp.parking_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.charging WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.status, r.power, r.energy,
            r.session_energy, r.current, r.voltage, r.soc, r.flagged, r.flags, r.received_at
        FROM usp.charging r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.charging_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.status_time, r.power_time,
            r.energy_time, r.session_energy_time, r.current_time, r.voltage_time, r.soc_time) AS time,
            r.status, r.status_time, r.status_flags, r.power, r.power_time, r.power_flags, r.energy,
            r.energy_time, r.energy_flags, r.session_energy, r.session_energy_time,
            r.session_energy_flags, r.current, r.current_time, r.current_flags, r.voltage,
            r.voltage_time, r.voltage_flags, r.soc, r.soc_time, r.soc_flags
        FROM usp.charging_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.energy WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.active_power, r.energy_import,
            r.energy_export, r.reactive_power, r.voltage, r.voltage_l1, r.voltage_l2, r.voltage_l3,
            r.current, r.current_l1, r.current_l2, r.current_l3, r.power_factor, r.frequency, r.heat,
            r.gas, r.water, r.flagged, r.flags, r.received_at
        FROM usp.energy r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.energy_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.active_power_time,
            r.energy_import_time, r.energy_export_time, r.reactive_power_time, r.voltage_time,
            r.voltage_l1_time, r.voltage_l2_time, r.voltage_l3_time, r.current_time, r.current_l1_time,
            r.current_l2_time, r.current_l3_time, r.power_factor_time, r.frequency_time, r.heat_time,
            r.gas_time, r.water_time) AS time, r.active_power, r.active_power_time,
            r.active_power_flags, r.energy_import, r.energy_import_time, r.energy_import_flags,
            r.energy_export, r.energy_export_time, r.energy_export_flags, r.reactive_power,
            r.reactive_power_time, r.reactive_power_flags, r.voltage, r.voltage_time, r.voltage_flags,
            r.voltage_l1, r.voltage_l1_time, r.voltage_l1_flags, r.voltage_l2, r.voltage_l2_time,
            r.voltage_l2_flags, r.voltage_l3, r.voltage_l3_time, r.voltage_l3_flags, r.current,
            r.current_time, r.current_flags, r.current_l1, r.current_l1_time, r.current_l1_flags,
            r.current_l2, r.current_l2_time, r.current_l2_flags, r.current_l3, r.current_l3_time,
            r.current_l3_flags, r.power_factor, r.power_factor_time, r.power_factor_flags, r.frequency,
            r.frequency_time, r.frequency_flags, r.heat, r.heat_time, r.heat_flags, r.gas, r.gas_time,
            r.gas_flags, r.water, r.water_time, r.water_flags
        FROM usp.energy_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.indoor_climate WITH (security_barrier) AS
        SELECT r.time, r.device AS device_id, d.name AS device, r.temperature, r.humidity, r.co2,
            r.flagged, r.flags, r.received_at
        FROM usp.indoor_climate r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN ('open',
            'restricted')
    """,
    """
    CREATE VIEW restricted.indoor_climate_latest WITH (security_barrier) AS
        SELECT r.device AS device_id, d.name AS device, greatest(r.temperature_time, r.humidity_time,
            r.co2_time) AS time, r.temperature, r.temperature_time, r.temperature_flags, r.humidity,
            r.humidity_time, r.humidity_flags, r.co2, r.co2_time, r.co2_flags
        FROM usp.indoor_climate_latest r JOIN usp.device d ON d.id = r.device WHERE d.visibility IN
            ('open', 'restricted')
    """,
    "GRANT USAGE ON SCHEMA usp TO usp_writer",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA usp TO usp_writer",
    "GRANT USAGE ON ALL SEQUENCES IN SCHEMA usp TO usp_writer",
    "GRANT USAGE ON SCHEMA open TO usp_open",
    "GRANT SELECT ON ALL TABLES IN SCHEMA open TO usp_open",
    "GRANT USAGE ON SCHEMA restricted TO usp_restricted",
    "GRANT SELECT ON ALL TABLES IN SCHEMA restricted TO usp_restricted",
)

# Roles belong to the whole server and may be in use by another database: they stay.
DOWNGRADE = (
    "DROP SCHEMA restricted CASCADE",
    "DROP SCHEMA open CASCADE",
    """
    DO $$
    DECLARE name text;
    BEGIN
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'usp' AND tablename <> 'alembic_version'
        LOOP
            EXECUTE format('DROP TABLE usp.%I CASCADE', name);
        END LOOP;
    END $$
    """,
)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in UPGRADE:
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    connection = op.get_bind()
    for statement in DOWNGRADE:
        connection.exec_driver_sql(statement)
