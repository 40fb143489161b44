/* store_reader_internal.h - what queries and aggregates share. */
#pragma once

#include "store_db.h"
#include "store_reader.h"
#include "store_scan.h"

struct StoreReader {
    StoreFile *file;
    StoreScan *scan;
    sqlite3_stmt *name;
    char name_text[STORE_PRODUCER_NAME_MAX + 1];
};

/* One state of the store for several scans of these producers. End it also after a failure. */
int store_reader_begin(StoreReader *reader, const char *producer, InaError *error);
void store_reader_end(StoreReader *reader);
