/* deployer.h - what the agent offers to whoever provides its software: the
 * plain service INA_DEPLOYER (inaetics/deployer.h). */
#pragma once

#include "framework/framework.h"
#include <inaetics/deployer.h>

typedef struct Deployer Deployer;

int deployer_new(sd_event *event, Framework *framework, Deployer **ret, InaError *error);
/* Why there is no first deployment yet; NULL: there is one. */
const char *deployer_waits(const Deployer *deployer);
/* To be called once, at the start. Whether the last starts all ended soon: then whoever brings software is to have a
 * word with its server before what is here is started. */
bool deployer_is_troubled(Deployer *deployer);
/* The agent ends: whoever brings software may say so. Takes NULL. */
void deployer_end(Deployer *deployer);
Deployer *deployer_free(Deployer *deployer); /* before the framework */
