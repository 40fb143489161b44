/* test_api_table.c - Tables show what kubectl shows; discovery tells what is
 * served. */
#include "api_fixture.h"

#define NOW 1769860800 /* 2026-01-31T12:00:00Z */
#define BORN "'creationTimestamp':'2026-01-31T11:57:00Z'"

/* The cells of one object, as JSON text with ' for ". malloc'ed. */
static char *cells(const char *key, const char *object)
{
    AUTO_JSON json_t *value = json_of(object);
    AUTO_JSON json_t *row = resource_table_row(resource_of_key(key), value, TABLE_NONE, NOW);
    char *text = json_dumps(json_object_get(row, "cells"), JSON_COMPACT);
    for (char *at = text; *at; at++)
        if (*at == '"')
            *at = '\'';
    return text;
}

static void assert_cells(const char *key, const char *object, const char *expected)
{
    AUTO_FREE char *text = cells(key, object);
    assert_string_equal(text, expected);
}

static const char *status_of(const char *pod)
{
    static char text[64];
    AUTO_JSON json_t *value = json_of(pod);
    AUTO_JSON json_t *row = resource_table_row(resource_of_key("pods"), value, TABLE_NONE, NOW);
    snprintf(text, sizeof text, "%s", json_string_value(json_array_get(json_object_get(row, "cells"), 2)));
    return text;
}

#define CONTAINER(state) "{'status':{'phase':'Running','containerStatuses':[{'state':{" state "}}]}}"
#define INIT(state)                                                                                                    \
    "{'spec':{'initContainers':[{},{}]},'status':{'phase':'Pending','initContainerStatuses':[" state "]}}"

static void a_pods_state_is_one_word(void **state)
{
    static const char *const cases[][2] = {
        {"{'status':{'phase':'Pending'}}", "Pending"},
        {"{'status':{'phase':'Failed','reason':'Evicted'}}", "Evicted"},
        {CONTAINER("'waiting':{'reason':'CrashLoopBackOff'}"), "CrashLoopBackOff"},
        {CONTAINER("'running':{}"), "Running"},
        {CONTAINER("'terminated':{'reason':'Completed','exitCode':0}"), "Completed"},
        {CONTAINER("'terminated':{'exitCode':3}"), "ExitCode:3"},
        {CONTAINER("'terminated':{'exitCode':137,'signal':9}"), "Signal:9"},
        {"{'status':{'phase':'Running','conditions':[{'type':'Ready','status':'True'}],'containerStatuses':[{'state':{"
         "'terminated':{'reason':'Completed'}}},{'ready':true,'state':{'running':{}}}]}}",
         "Running"},
        {INIT("{'state':{'running':{}}}"), "Init:0/2"},
        {INIT("{'state':{'terminated':{'exitCode':0}}},{'state':{'waiting':{'reason':'PodInitializing'}}}"),
         "Init:1/2"},
        {INIT("{'state':{'terminated':{'exitCode':1}}}"), "Init:ExitCode:1"},
        {INIT("{'state':{'terminated':{'exitCode':1,'reason':'Error'}}}"), "Init:Error"},
        {INIT("{'state':{'waiting':{'reason':'CrashLoopBackOff'}}}"), "Init:CrashLoopBackOff"},
        {"{'metadata':{'deletionTimestamp':'2026-01-31T12:00:00Z'},'status':{'phase':'Running'}}", "Terminating"},
        {"{'metadata':{'deletionTimestamp':'2026-01-31T12:00:00Z'},'status':{'phase':'Running','reason':'NodeLost'}}",
         "Unknown"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(status_of(cases[i][0]), cases[i][1]);
}

static void pods_and_nodes_have_kubectls_columns(void **state)
{
    assert_cells(
        "pods",
        "{'metadata':{'name':'p'," BORN "},'spec':{'nodeName':'n','containers':[{},{}]},'status':{'phase':"
        "'Running','podIP':'127.1.1.2','containerStatuses':[{'ready':true,'restartCount':2,'state':{'running':{}"
        "}},{'restartCount':1,'state':{'running':{}}}]}}",
        "['p','1/2','Running',3,'3m','127.1.1.2','n','<none>','<none>']");
    assert_cells("nodes",
                 "{'metadata':{'name':'n'," BORN ",'labels':{'node-role.kubernetes.io/worker':'','kubernetes.io/role':"
                 "'a'}},'spec':{'unschedulable':true},'status':{'conditions':[{'type':'Ready','status':'True'}],"
                 "'addresses':[{'type':'InternalIP','address':'127.17.8.31'}],'nodeInfo':{'kubeletVersion':'v1'}}}",
                 "['n','Ready,SchedulingDisabled','a,worker','3m','v1','127.17.8.31','<none>','<unknown>','<unknown>',"
                 "'<unknown>']");
    assert_cells("nodes", "{'metadata':{'name':'n'}}",
                 "['n','Unknown','<none>','<unknown>','','<none>','<none>','<unknown>','<unknown>','<unknown>']");
}

static void workloads_and_services_have_kubectls_columns(void **state)
{
    assert_cells("replicationcontrollers",
                 "{'metadata':{'name':'r'," BORN
                 "},'spec':{'replicas':3,'selector':{'b':'c','a':'d'},'template':{'spec':{"
                 "'containers':[{'name':'x','image':'y'},{'name':'z','image':'w'}]}}},'status':{'replicas':2,"
                 "'readyReplicas':1}}",
                 "['r',3,2,1,'3m','x,z','y,w','a=d,b=c']");
    assert_cells("apps/deployments",
                 "{'metadata':{'name':'d'," BORN
                 "},'spec':{'replicas':3,'selector':{'matchLabels':{'a':'b'}}},'status':{"
                 "'readyReplicas':2,'updatedReplicas':1}}",
                 "['d','2/3',1,0,'3m','','','a=b']");
    assert_cells("services",
                 "{'metadata':{'name':'s'," BORN
                 "},'spec':{'type':'NodePort','clusterIP':'127.3.0.9','ports':[{'port':80,"
                 "'nodePort':30080,'protocol':'TCP'},{'port':81,'protocol':'UDP'}]}}",
                 "['s','NodePort','127.3.0.9','<none>','80:30080/TCP,81/UDP','3m','<none>']");
    assert_cells("endpoints",
                 "{'metadata':{'name':'e'," BORN
                 "},'subsets':[{'addresses':[{'ip':'1'},{'ip':'2'},{'ip':'3'},{'ip':'4'},"
                 "{'ip':'5'}],'ports':[{'port':80}]}]}",
                 "['e','1:80,2:80,3:80 + 2 more...','3m']");
    assert_cells("endpoints", "{'metadata':{'name':'e'," BORN "}}", "['e','<none>','3m']");
}

static void events_and_volumes_have_kubectls_columns(void **state)
{
    assert_cells(
        "events",
        "{'metadata':{'name':'e'},'firstTimestamp':'2026-01-31T11:00:00Z','lastTimestamp':'2026-01-31T11:59:50Z',"
        "'count':4,'type':'Normal','reason':'Started','message':' it began\\n','involvedObject':{'kind':'Pod',"
        "'name':'p'},'source':{'component':'node','host':'n'}}",
        "['10s','Normal','Started','pod/p','','node, n','it began','60m',4,'e']");
    assert_cells("persistentvolumeclaims",
                 "{'metadata':{'name':'c'," BORN "},'spec':{'volumeName':'v','storageClassName':'s','volumeMode':"
                 "'Filesystem'},'status':{'phase':'Bound','accessModes':['ReadWriteMany','ReadWriteOnce'],'capacity':{"
                 "'storage':'1Gi'}}}",
                 "['c','Bound','v','1Gi','RWO,RWX','s','3m','Filesystem']");
    assert_cells("inaetics.org/applications",
                 "{'metadata':{'name':'a'," BORN
                 "},'status':{'components':[{'name':'processor','running':2,'requested':3}"
                 "]}}",
                 "['a','Unknown','processor 2/3','3m']");
}

static void hostile_objects_have_cells_too(void **state)
{
    size_t count;
    const Resource *const *all = resources(&count);
    static const char *const objects[] = {
        "{}",
        "{'metadata':[],'spec':'x','status':7}",
        "{'metadata':{'name':1,'labels':[1],'creationTimestamp':{}},'spec':{'containers':{},'ports':[1,[]],'selector':["
        "],"
        "'template':1,'taints':7,'accessModes':[1,null]},'status':{'containerStatuses':[1,{'state':[]}],'conditions':["
        "3,"
        "{'type':4}],'addresses':[0]},'subsets':[1,{'addresses':{},'ports':[2]}],'data':[]}",
    };
    for (size_t i = 0; i < count; i++)
        for (size_t o = 0; o < sizeof objects / sizeof *objects; o++) {
            AUTO_JSON json_t *object = json_of(objects[o]);
            AUTO_JSON json_t *row = resource_table_row(all[i], object, TABLE_METADATA, NOW);
            AUTO_JSON json_t *columns = resource_table_columns(all[i]);
            assert_int_equal(json_array_size(json_object_get(row, "cells")), json_array_size(columns));
        }
}

static void a_table_keeps_the_lists_version(void **state)
{
    AUTO_JSON json_t *list = json_of("{'kind':'PodList','metadata':{'resourceVersion':'7','continue':'x'},'items':[{"
                                     "'metadata':{'name':'p'},'status':{'phase':'Succeeded'}}]}");
    AUTO_JSON json_t *table = resource_table(resource_of_key("pods"), list, "v1", TABLE_OBJECT, NOW);
    assert_string_equal(kube_string(table, "apiVersion"), "meta.k8s.io/v1");
    assert_string_equal(kube_string(table, "metadata.resourceVersion"), "7");
    assert_string_equal(kube_string(table, "metadata.continue"), "x");
    const json_t *row = json_array_get(json_object_get(table, "rows"), 0);
    assert_string_equal(kube_string(row, "object.kind"), "Pod");
    assert_string_equal(kube_string(json_array_get(json_object_get(row, "conditions"), 0), "reason"), "Succeeded");
}

static void discovery_tells_what_is_served(void **state)
{
    AUTO_JSON json_t *core = discovery_resources("", "v1");
    assert_string_equal(kube_string(core, "groupVersion"), "v1");
    const json_t *pods = NULL, *entry;
    size_t i;
    json_array_foreach(json_object_get(core, "resources"), i,
                       entry) if (strcmp(kube_string(entry, "name"), "pods") == 0) pods = entry;
    AUTO_FREE char *text = json_dumps(pods, JSON_COMPACT);
    assert_string_equal(text,
                        "{\"name\":\"pods\",\"singularName\":\"\",\"namespaced\":true,\"kind\":\"Pod\",\"verbs\":["
                        "\"create\",\"delete\",\"deletecollection\",\"get\",\"list\",\"patch\",\"update\","
                        "\"watch\"],\"shortNames\":[\"po\"],\"categories\":[\"all\"],\"storageVersionHash\":"
                        "\"xPOwRZ+Yhw8=\"}");
    AUTO_JSON json_t *groups = discovery_groups();
    assert_true(json_array_size(json_object_get(groups, "groups")) >= 6);
    AUTO_JSON json_t *apps = discovery_group("apps");
    assert_string_equal(kube_string(apps, "preferredVersion.groupVersion"), "apps/v1");
    assert_null(discovery_group("nonsense"));
    assert_null(discovery_group(""));
    assert_null(discovery_resources("apps", "v2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pods_state_is_one_word),
        cmocka_unit_test(pods_and_nodes_have_kubectls_columns),
        cmocka_unit_test(workloads_and_services_have_kubectls_columns),
        cmocka_unit_test(events_and_volumes_have_kubectls_columns),
        cmocka_unit_test(hostile_objects_have_cells_too),
        cmocka_unit_test(a_table_keeps_the_lists_version),
        cmocka_unit_test(discovery_tells_what_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
